"""All that is said about a set of generated images: distances, precision and recall, and what was memorised."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torch import Tensor

from kexue.diffusion.metrics.frechet import Moments, frechet_distance
from kexue.diffusion.metrics.kernel import kernel_distance
from kexue.diffusion.metrics.manifold import precision_recall
from kexue.diffusion.metrics.neighbours import memorised_share


@dataclass(frozen=True, slots=True)
class ImageEvaluation:
    """Generated images against real ones; distances compare only between runs with the same features and counts."""

    num_generated: int
    num_real: int
    frechet_distance: float
    kernel_distance: float
    kernel_distance_error: float
    precision: float
    recall: float
    memorised: float | None

    def to_json(self) -> dict[str, float | int | None]:
        """The numbers by name."""
        return asdict(self)

    def __str__(self) -> str:
        memorised = "" if self.memorised is None else f", memorised {self.memorised:.1%}"
        return (
            f"Frechet distance {self.frechet_distance:.3f}, kernel distance {self.kernel_distance:.5f} "
            f"+- {self.kernel_distance_error:.5f}, precision {self.precision:.3f}, recall {self.recall:.3f}{memorised}"
        )


def evaluate_images(generated: Tensor, real: Tensor, training: Tensor | None = None) -> ImageEvaluation:
    """Compare features [n, dim] of generated images with those of real ones that were not trained on.

    With the features of the training images, the share that was memorised is measured too.
    """
    kernel = kernel_distance(generated, real)
    manifold = precision_recall(generated, real)
    return ImageEvaluation(
        len(generated),
        len(real),
        frechet_distance(Moments.of(generated), Moments.of(real)),
        kernel.value,
        kernel.standard_error,
        manifold.precision,
        manifold.recall,
        None if training is None else memorised_share(generated, training, real),
    )

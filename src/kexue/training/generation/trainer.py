"""The trainer of generators: the loss on held-out images by time, and pictures while it trains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from kexue.diffusion.checkpoint import load_generator
from kexue.diffusion.images import ImageSet, PixelScale, write_images
from kexue.diffusion.images.pixels import Pixels
from kexue.diffusion.images.writing import arrange_grid
from kexue.diffusion.sampling import sample
from kexue.errors import OptionError
from kexue.training.generation.data import GenerationData
from kexue.training.generation.dataset import Collator
from kexue.training.generation.model import GenerationModel
from kexue.training.generation.recipe import GenerationRecipe
from kexue.training.generation.said import DIVERGENCES, SaidOfImages
from kexue.training.order import EpochOrder, Places
from kexue.training.regularizers import Inputs
from kexue.training.resumable import ResumableTrainer

TIME_BINS = 10
MEASURED = 256  # losses that the dev measure is a mean of
SAMPLES = "samples"


class GenerationTrainer(ResumableTrainer):
    """Trains a `GenerationModel`, and keeps the averaged weights of the last step."""

    ema_interval: ClassVar[int] = 5  # an update of every weight would cost some hundredths of a short step

    def __init__(
        self,
        model: GenerationModel,
        data: GenerationData,
        recipe: GenerationRecipe,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.dev = data.dev
        self.shown = data.train
        self.generation = recipe
        super().__init__(
            model,
            recipe,
            Places(len(data.train)),
            EpochOrder(len(data.train), recipe.batch_size, recipe.seed),
            learning_rate=recipe.learning_rate,
            callbacks=callbacks,
        )
        self.data_collator = Collator(data.train, recipe, self.args.device)
        self.args.dataloader_pin_memory = False  # what is collated is on the device already

    # --- regularisers ---

    @property
    def divergences(self) -> Sequence[str]:
        """The squared error: what a network says are no classes."""
        return tuple(DIVERGENCES)

    @property
    def entrance(self) -> nn.Module:
        """The noisy images on their way into the network."""
        return self.model.entrance

    def kept(self, inputs: Inputs) -> None:
        """All of them: images have no padding."""

    def doubled(self, inputs: Inputs) -> Inputs:
        """Both copies stand at the same places, so they have the same times and the same noise."""
        return {name: torch.cat((value, value)) for name, value in inputs.items()}

    def bring_teacher(self, folder: str) -> None:
        """Both networks have to see the same noisy images and to say the same of them."""
        teacher, model = load_generator(folder), self.model
        classes = self.shown.label_names if self.generation.conditional else ()
        for alike, what in (
            (teacher.network.shape == model.network.shape, "is for images of another size"),
            (teacher.label_names == classes, "knows other classes"),
            (teacher.scale == self.shown.scale, "has another scale of pixels"),
            (teacher.schedule == model.schedule, "has another schedule"),
            (teacher.parameterization == model.parameterization, "has another parameterization"),
        ):
            if not alike:
                raise OptionError(f"regularizer 'distillation': teacher {folder} {what} than the model to be trained")
        self.teachers[folder] = GenerationModel(teacher.network, self.generation).to(self.args.device).eval()

    @torch.no_grad()
    def taught(self, folder: str, inputs: Inputs) -> SaidOfImages:
        """What the network in a folder says of the same images with the same noise."""
        with self.accelerator.autocast():
            return self.teachers[folder](**inputs)["said"]

    # --- dev ---

    def measure(self) -> dict[str, float]:
        """The loss on dev, in all and by time; now and then a grid of samples is written."""
        model: GenerationModel = self.accelerator.unwrap_model(self.model).eval()
        losses = dev_losses(model, self.dev, self.args.device, self.generation.seed)
        if self._is_time_for_a_grid():
            self._show(make_samples(model, self.generation, self.args.device))
        by_time = {f"loss_t{(index + 0.5) / TIME_BINS:.2f}": float(loss) for index, loss in enumerate(losses)}
        return {"loss": float(losses.mean()), **by_time}

    def last_measure(self) -> dict[str, float]:
        """What `measure` found last."""
        last = next(entry for entry in reversed(self.state.log_history) if "eval_loss" in entry)
        return {key.removeprefix("eval_"): value for key, value in last.items() if key.startswith("eval_")}

    def _is_time_for_a_grid(self) -> bool:
        """At the end, and at the ends of epochs so that there are `num_grids` in all."""
        if not self.generation.num_samples:
            return False
        every = max(1, math.ceil(self.args.num_train_epochs / self.generation.num_grids))
        return self.state.global_step >= self.state.max_steps or round(self.state.epoch or 0) % every == 0

    def _show(self, pixels: Pixels) -> None:
        write_images(self.generation.output / SAMPLES / f"step-{self.state.global_step:07d}.png", pixels)
        for callback in self.callback_handler.callbacks:
            writer: Any = getattr(callback, "tb_writer", None)
            if writer is not None:
                writer.add_image(SAMPLES, arrange_grid(pixels), self.state.global_step, dataformats="HWC")


@torch.no_grad()
def dev_losses(model: GenerationModel, dev: ImageSet, device: torch.device, seed: int) -> Tensor:
    """The mean loss in each tenth of time: float64[TIME_BINS].

    Times and noise are the same whenever it is called, so that two measures differ by the weights alone.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.arange(MEASURED) % len(dev)
    times = (torch.randperm(MEASURED, generator=generator).double() + 0.5) / MEASURED
    losses = []
    for rows, t in zip(chosen.split(model.batch_size), times.split(model.batch_size), strict=True):
        x0 = dev.scale.encode(dev.pixels[rows.numpy()])
        eps = torch.randn(x0.shape, generator=generator)
        labels = None
        if dev.labels is not None and model.network.num_classes:
            labels = torch.from_numpy(dev.labels[rows.numpy()]).to(device)
        losses.append(model.losses(x0.to(device), t.to(device), eps.to(device), labels).double().cpu())
    tenths = (times * TIME_BINS).long().clamp(max=TIME_BINS - 1)
    sums = torch.zeros(TIME_BINS, dtype=torch.float64).index_add(0, tenths, torch.cat(losses))
    return sums / tenths.bincount(minlength=TIME_BINS)


def make_samples(model: GenerationModel, recipe: GenerationRecipe, device: torch.device) -> Pixels:
    """Images from the same noise whenever it is called, of all classes in turn if there are any."""
    generator = torch.Generator().manual_seed(recipe.seed)
    noise = torch.randn((recipe.num_samples, *model.network.shape), generator=generator).to(device)
    classes = torch.arange(recipe.num_samples, device=device) % max(1, model.network.num_classes)
    denoise = model.denoiser(classes if model.network.num_classes else None)
    x0 = sample(denoise, model.schedule, noise, recipe.make_sampler(), recipe.num_steps, generator)
    return PixelScale().decode(x0)

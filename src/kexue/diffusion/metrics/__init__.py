"""How good and how new generated images are."""

from __future__ import annotations

from kexue.diffusion.metrics.evaluation import ImageEvaluation, evaluate_images
from kexue.diffusion.metrics.features import InceptionFeatures, PixelFeatures, extract_features
from kexue.diffusion.metrics.frechet import Moments, frechet_distance
from kexue.diffusion.metrics.kernel import KernelDistance, kernel_distance
from kexue.diffusion.metrics.manifold import PrecisionRecall, precision_recall
from kexue.diffusion.metrics.neighbours import Neighbours, memorised_share, nearest_neighbours

__all__ = [
    "ImageEvaluation",
    "InceptionFeatures",
    "KernelDistance",
    "Moments",
    "Neighbours",
    "PixelFeatures",
    "PrecisionRecall",
    "evaluate_images",
    "extract_features",
    "frechet_distance",
    "kernel_distance",
    "memorised_share",
    "nearest_neighbours",
    "precision_recall",
]

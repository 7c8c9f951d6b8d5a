"""Images in and out: files to pixels to numbers in [-1, 1], and back to pictures."""

from __future__ import annotations

from kexue.diffusion.images.image_set import ImageSet, Skipped
from kexue.diffusion.images.pixels import PixelScale
from kexue.diffusion.images.reading import read_images
from kexue.diffusion.images.writing import write_gif, write_grid, write_images, write_npz

__all__ = [
    "ImageSet",
    "PixelScale",
    "Skipped",
    "read_images",
    "write_gif",
    "write_grid",
    "write_images",
    "write_npz",
]

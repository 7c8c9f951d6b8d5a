"""One picture of any kind becomes pixels of one form: turned upright, laid on a background, cropped and resized.

The shorter side is brought to its length and the middle of the longer one is kept. Transparent places take the
colour of the background; where transparency itself is kept (RGBA) they take it too, so that colours nobody can
see are nothing to learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor, ImageOps

from kexue.diffusion.images.pixels import Pixels
from kexue.errors import OptionError, unknown

CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}


@dataclass(frozen=True, slots=True)
class ImageForm:
    """What every image of a set shall be.

    Args:
        size: height and width in pixels.
        mode: "RGB", "L" (grey) or "RGBA".
        background: what shows through transparent places: a name or "#rrggbb".

    Raises `OptionError` for anything else.
    """

    size: tuple[int, int]
    mode: str = "RGB"
    background: str = "white"

    def __post_init__(self) -> None:
        if self.mode not in CHANNELS:
            raise OptionError(unknown("image mode", self.mode, list(CHANNELS)))
        if min(self.size) < 1:
            raise OptionError(f"an image is at least one pixel high and wide, got {self.size}")
        try:
            ImageColor.getrgb(self.background)
        except ValueError:
            raise OptionError(
                f"unknown background {self.background!r}: use a name such as 'white' or '#rrggbb'"
            ) from None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return (*self.size, CHANNELS[self.mode])

    def apply(self, image: Image.Image) -> Pixels:
        """The picture's pixels, uint8[h, w, c]. Raises ValueError for floating-point pixels, whose range is unknown."""
        upright = ImageOps.exif_transpose(_eight_bits(image))
        if self.mode == "RGBA":
            fitted = _hide_invisible(_fit(upright.convert("RGBA"), self.size), self.background)
        else:
            fitted = _fit(_on_background(upright, self.background).convert(self.mode), self.size)
        return np.asarray(fitted, dtype=np.uint8).reshape(self.shape)


def is_grey(image: Image.Image) -> bool:
    """Whether a picture has shades of grey only, by its header."""
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")


def _eight_bits(image: Image.Image) -> Image.Image:
    """16 bits of grey to 8, by division; Pillow's own conversion cuts everything above 255 off."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray((values // 257).clip(0, 255).astype(np.uint8))


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _on_background(image: Image.Image, background: str) -> Image.Image:
    if not _has_alpha(image):
        return image
    canvas = Image.new("RGBA", image.size, ImageColor.getrgb(background))
    return Image.alpha_composite(canvas, image.convert("RGBA"))


def _hide_invisible(image: Image.Image, background: str) -> Image.Image:
    """Fully transparent pixels in the colour of the background."""
    pixels = np.array(image)
    pixels[pixels[..., 3] == 0, :3] = ImageColor.getrgb(background)[:3]
    return Image.fromarray(pixels)


def _fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size[::-1] else ImageOps.fit(image, size[::-1], Image.Resampling.LANCZOS)

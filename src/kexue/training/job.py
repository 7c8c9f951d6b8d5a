"""What a training file is for: extraction from text, or generation of images."""

from __future__ import annotations

from pathlib import Path

from kexue.diffusion.images.hub import PREFIX
from kexue.diffusion.images.packaged import PACKAGED
from kexue.diffusion.images.reading import FILES
from kexue.errors import OptionError, unknown
from kexue.training.recipe import read_toml

JOBS = ("extraction", "generation")
IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
TEXTS = {".ann", ".txt", ".json", ".jsonl", ".conll", ".bio", ".spacy"}
LOOKED_AT = 1000  # files of a folder


def choose_job(data: str, named: str | None = None) -> str:
    """The job that is named, or that a recipe names, or that the data are of.

    Raises `OptionError` for a job that does not exist and for a folder that holds both images and texts.
    """
    path = Path(data)
    job = named or (read_toml(path).get("job") if path.suffix == ".toml" else None)
    if job is not None and job not in JOBS:
        raise OptionError(unknown("job", str(job), JOBS))
    if job is not None:
        return str(job)
    if path.is_dir():
        return _job_of_folder(path)
    of_images = path.suffix.lower() in FILES or data.startswith(PREFIX) or (data in PACKAGED and not path.exists())
    return "generation" if of_images else "extraction"


def _job_of_folder(path: Path) -> str:
    endings: set[str] = set()
    for number, file in enumerate(path.rglob("*")):
        if number == LOOKED_AT:
            break
        endings.add(file.suffix.lower())
    images, texts = bool(endings & IMAGES), bool(endings & TEXTS)
    if images and texts:
        raise OptionError(f"{path}: holds images and texts; say what to train on: --job generation or --job extraction")
    return "generation" if images else "extraction"

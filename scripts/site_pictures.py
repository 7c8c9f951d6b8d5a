"""The two pictures of the site's first page: `python scripts/site_pictures.py EXTRACTOR GENERATOR`.

Both models are those of `make demo`: EXTRACTOR is demo/model, GENERATOR demo/images/model. The first picture is
the page that `kexue demo` writes, of three of its sentences, in Chromium; the second is eighty digits in 15 steps.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import sync_playwright

from kexue import Extractor, Generator
from kexue.diffusion import Multistep, seeded
from kexue.diffusion.images.writing import write_grid
from kexue.files import atomic_write
from kexue.pipelines.demo import NEW_SENTENCES
from kexue.pipelines.facts_page import facts_page
from kexue.pipelines.generator import Condition

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
SENTENCES = (0, 2, 4)
WIDTH = 860
SEED, STEPS = 42, 15


def main(extractor: str, generator: str) -> None:
    """Draw both."""
    FOLDER.mkdir(exist_ok=True)
    save(FOLDER / "facts.png", facts(Extractor.from_pretrained(extractor)))
    save(FOLDER / "digits.png", digits(Generator.from_pretrained(generator)))


def facts(extractor: Extractor) -> Image.Image:
    """The page of facts, without its heading."""
    page_text = facts_page(extractor.extract([NEW_SENTENCES[index] for index in SENTENCES]), title="facts")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 400}, color_scheme="light")
        page.set_content(page_text.replace("<h1>facts</h1>", ""))
        shown = page.screenshot(full_page=True)
        browser.close()
    return Image.open(io.BytesIO(shown)).convert("P", palette=Image.Palette.ADAPTIVE, colors=128)


def digits(generator: Generator) -> Image.Image:
    """Each digit eight times, every pixel as a square."""
    images = generator.sample(
        80,
        sampler=Multistep(),
        num_steps=STEPS,
        generator=seeded(range(SEED, SEED + 80)),
        condition=Condition([digit for _ in range(8) for digit in range(10)]),
        batch_size=80,
    )
    with TemporaryDirectory() as folder:
        write_grid(Path(folder) / "grid.png", generator.pixels(images), columns=10)
        return Image.open(Path(folder) / "grid.png").convert("L")


def save(path: Path, picture: Image.Image) -> None:
    """As PNG, whole or not at all."""
    with atomic_write(path, binary=True) as file:
        picture.save(file, "PNG", optimize=True)
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])

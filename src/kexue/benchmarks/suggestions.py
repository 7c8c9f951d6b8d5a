"""Whether it pays to annotate what `kexue suggest` ranks first: F1 against the number of annotated sentences.

    python -m kexue.benchmarks.suggestions [--sizes 80 200] [--seeds 3] [--epochs 6] [--ways random suggested]

The training part of PHEE is a pool whose annotation is hidden. A first model is trained on `sizes[0]` random sentences,
the same for all ways. Then each way chooses the sentences that are annotated next, up to the next size, a model is
trained from the beginning on all that it has, and so on; the annotation is looked up. Thresholds and epochs are chosen
on the same 100 dev sentences, F1 is measured on the whole test part. Sentences that are chosen because they hold much
also take longer to read, so the characters that were annotated stand beside their number.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import mean

from rich.console import Console

from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report
from kexue.benchmarks.real import FEW
from kexue.data import demo_path
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents, write_documents
from kexue.extraction.metrics import evaluate
from kexue.pipelines.extractor import Extractor
from kexue.pipelines.suggestions import suggest
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import train

NUM_DEV = 100

Way = Callable[[Extractor, list[Document], int, Random], list[str]]


def _random(extractor: Extractor, pool: list[Document], num: int, chance: Random) -> list[str]:
    return [document.text for document in chance.sample(pool, num)]


def _ranked(**options: object) -> Way:
    def choose(extractor: Extractor, pool: list[Document], num: int, chance: Random) -> list[str]:
        found = suggest(extractor, pool, num=num, **options)  # type: ignore[arg-type]
        return [item.document.text for item in found.chosen]

    return choose


WAYS: dict[str, Way] = {
    "random": _random,
    "suggested": _ranked(),
    "no diversity": _ranked(diversity=1.0),
    "per character": _ranked(per="character"),
}
Point = tuple[float, float, int]
"""F1 of relations, F1 of entities, characters annotated."""


class Course:
    """One seed: the pool, and what each way makes of it."""

    def __init__(self, folder: Path, seed: int, options: Namespace) -> None:
        self.folder, self.seed, self.options = folder, seed, options
        self.gold = {document.text: document for document in read_documents(demo_path("phee", "train")).documents}
        most = FEW if options.quick else None
        self.dev = read_documents(demo_path("phee", "dev")).documents[: most or NUM_DEV]
        self.test = read_documents(demo_path("phee", "test")).documents[:most]

    def run(self, report: Callable[[str, int, Point], None]) -> None:
        """Tell the report of every way at every size."""
        first = Random(self.seed).sample(list(self.gold), self.options.sizes[0])
        extractor = self._train(first)
        point = self._measure(extractor, first)
        for way in self.options.ways:
            report(way, len(first), point)
            self._go_on(way, extractor, first, report)

    def _go_on(
        self, way: str, extractor: Extractor, texts: list[str], report: Callable[[str, int, Point], None]
    ) -> None:
        chance = Random(self.seed)
        for size in self.options.sizes[1:]:
            known = set(texts)
            pool = [Document(text) for text in self.gold if text not in known]
            texts = texts + WAYS[way](extractor, pool, size - len(texts), chance)
            extractor = self._train(texts)
            report(way, size, self._measure(extractor, texts))

    def _train(self, texts: Sequence[str]) -> Extractor:
        write_documents([self.gold[text] for text in texts], self.folder / "train.jsonl")
        write_documents(self.dev, self.folder / "dev.jsonl")
        values = {
            "train": self.folder / "train.jsonl",
            "dev": self.folder / "dev.jsonl",
            "output": self.folder / "model",
            "encoder": self.options.encoder,
            "epochs": self.options.epochs,
            "patience": 1000,
            "seed": self.seed,
            "device": self.options.device,
        }
        recipe = ExtractionRecipe.from_values(values, source="benchmark")
        return Extractor.from_pretrained(
            train(recipe, console=Console(quiet=True), overwrite=True), device=self.options.device
        )

    def _measure(self, extractor: Extractor, texts: Sequence[str]) -> Point:
        found = evaluate(self.test, extractor.extract(self.test), bootstrap_samples=0)
        scores = [part.headline.counts.f1 for part in (found.relations, found.entities)]
        return scores[0], scores[1], sum(map(len, texts))


def main(arguments: list[str]) -> None:
    """Print F1 of every way at every size, the mean of the seeds."""
    options = _options(arguments)
    report, _ = begin("suggestions", options)
    points: dict[tuple[str, int], list[Point]] = defaultdict(list)

    def note(way: str, size: int, point: Point) -> None:
        points[way, size].append(point)
        relations, entities, characters = point
        report.line(f"{way}, {size} sentences ({characters:,} characters): {relations:.4f}, {entities:.4f}")

    for seed in range(options.seed, options.seed + options.seeds):
        report.line(f"seed {seed}: F1 of relations, of entities")
        with tempfile.TemporaryDirectory() as folder:
            Course(Path(folder), seed, options).run(note)
    report.line()
    _table(report, points, options)


def _table(report: Report, points: dict[tuple[str, int], list[Point]], options: Namespace) -> None:
    rows = []
    for way in options.ways:
        for size in options.sizes:
            own = points[way, size]
            base = points[options.ways[0], size]
            gain = [100 * (one[0] - other[0]) for one, other in zip(own, base, strict=True)]
            rows.append(
                [
                    way,
                    size,
                    f"{mean(point[2] for point in own):,.0f}",
                    *(f"{100 * mean(point[index] for point in own):.1f}" for index in (0, 1)),
                    ", ".join(f"{value:+.1f}" for value in gain),
                ]
            )
    report.table(
        ["way", "sentences", "characters", "relations F1", "entities F1", f"of each seed above {options.ways[0]}"], rows
    )


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("suggestions", __doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[80, 200], help="annotated sentences, one by one")
    parser.add_argument("--seeds", type=int, default=3, help="so many, from --seed on (default 3)")
    parser.add_argument("--epochs", type=float, default=6.0, help="of every training (default 6)")
    parser.add_argument("--encoder", default="minilm", help="name or folder (default minilm, of the extra demo)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--ways", nargs="+", default=["random", "suggested"], choices=list(WAYS), help="compared ways")
    options = parser.parse_args(arguments)
    if options.quick:
        options.encoder, options.epochs, options.seeds, options.sizes = "gau-tiny", 0.5, 1, [8, 12]
    return options


if __name__ == "__main__":
    main(sys.argv[1:])

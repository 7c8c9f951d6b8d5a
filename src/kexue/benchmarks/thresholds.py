"""How should thresholds be chosen, and from how many annotated sentences?

    python -m kexue.benchmarks.thresholds MODEL [DEV] [--sizes 25 50 115 231 480] [--splits 200]

The annotated texts of DEV (of the demo data where left out), which must not be the model's training data, are split at
random again and again. On the first so many of them confidences and thresholds are chosen, on the others strict F1 is
measured. Compared are

    rule       every score above 0, as the articles have it; nothing is chosen
    counted    the threshold with the most F1 on the first part, one for all types
    expected   what `kexue train` does: half the F1 to be expected of the confidences, less what a type leans
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kexue.benchmarks.measuring.options import bare_parser
from kexue.benchmarks.measuring.report import Report
from kexue.data import demo_path
from kexue.extraction.decision import GRID, Bools, Confidence, CountsAbove, Floats, Ints, Judged, best_thresholds
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents
from kexue.extraction.inference import find_candidates
from kexue.extraction.judge import judge
from kexue.extraction.links import close_gold
from kexue.extraction.metrics.scores import f1_of
from kexue.pipelines.extractor import Extractor
from kexue.training.extraction.run import FLOOR


@dataclass(frozen=True)
class Candidates:
    """Of one kind, text by text."""

    by_text: Sequence[Judged]

    def of(self, texts: Ints) -> Judged:
        """Those of some texts, as if there were no others."""
        chosen = [self.by_text[index] for index in texts]
        return Judged(
            np.concatenate([each.scores for each in chosen]),
            np.concatenate([each.label for each in chosen]),
            np.concatenate([each.correct for each in chosen]),
            np.sum([each.gold for each in chosen], 0),
        )


def find(extractor: Extractor, documents: Sequence[Document]) -> dict[str, Candidates]:
    """Candidates of entities, which share one threshold, and of relations."""
    gold, labels = close_gold(list(documents), extractor.schema), extractor.model.head.labels
    entities, relations = [], []
    texts = [document.text for document in gold]
    for item in find_candidates(extractor.model, extractor.tokenizer, texts, floor=FLOOR):
        judgement = judge([gold[item.index]], [replace(item, index=0)], labels)
        entities.append(judgement.entities.pooled)
        relations.append(judgement.relations)
    return {"entities": Candidates(entities), "relations": Candidates(relations)}


def rule(calibration: Confidence, chosen_on: Judged, used_on: Judged) -> Bools:
    """Which of the candidates `used_on` are reported, [n]; the calibration is fitted to the others."""
    return used_on.scores.min(1, initial=np.inf) > 0


def counted(calibration: Confidence, chosen_on: Judged, used_on: Judged) -> Bools:
    """The same, by the threshold that would have been best where it was chosen."""
    counts = CountsAbove.of(calibration(chosen_on.scores), chosen_on).pooled
    of_thresholds = np.stack([counts.right[0], counts.found[0], np.broadcast_to(counts.gold, GRID.shape)], -1)
    return calibration(used_on.scores) >= GRID[f1_of(of_thresholds).argmax()]


def expected(calibration: Confidence, chosen_on: Judged, used_on: Judged) -> Bools:
    """The same, by the thresholds of `kexue train`."""
    thresholds = best_thresholds(calibration(chosen_on.scores), chosen_on)
    return calibration(used_on.scores) >= thresholds[used_on.label]


WAYS: dict[str, Callable[[Confidence, Judged, Judged], Bools]] = {
    "rule": rule,
    "counted": counted,
    "expected": expected,
}


def f1(reported: Bools, judged: Judged) -> float:
    """In points, over all types."""
    counts = np.array([(reported & judged.correct).sum(), reported.sum(), judged.gold.sum()], np.float64)
    return 100 * float(f1_of(counts))


def compare(candidates: Candidates, size: int, splits: int, seed: int) -> dict[str, Floats]:
    """F1 of each way at each split."""
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for first, others in _splits(len(candidates.by_text), size, splits, seed):
        chosen_on, used_on = candidates.of(first), candidates.of(others)
        calibration = Confidence.fit(chosen_on.scores, chosen_on.correct)
        for name, way in WAYS.items():
            found[name].append(f1(way(calibration, chosen_on, used_on), used_on))
    return {name: np.array(values) for name, values in found.items()}


def _splits(num: int, size: int, splits: int, seed: int) -> Iterator[tuple[Ints, Ints]]:
    chance = np.random.default_rng(seed)
    for _ in range(splits):
        order = chance.permutation(num)
        yield order[:size], order[size:]


def main(arguments: list[str]) -> None:
    """A row for each kind and size."""
    parser = bare_parser("thresholds", __doc__)
    parser.add_argument("model", help="folder of a trained extractor")
    parser.add_argument("dev", nargs="?", type=Path, default=demo_path("phee", "dev"), help="annotated sentences")
    parser.add_argument("--sizes", type=int, nargs="+", default=[25, 50, 115, 231, 480], help="sentences chosen on")
    parser.add_argument("--splits", type=int, default=200, help="random splits of each size (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the splits (default 0)")
    parser.add_argument("--device", help="cpu or cuda; the best there is where left out")
    options = parser.parse_args(arguments)
    extractor = Extractor.from_pretrained(options.model, device=options.device)
    kinds = find(extractor, read_documents(options.dev).documents)
    rows = []
    for kind, candidates in kinds.items():
        for size in (size for size in options.sizes if size < len(candidates.by_text)):
            of = compare(candidates, size, options.splits, options.seed)
            gain = of["expected"] - of["counted"]
            cells = [f"{values.mean():.2f} ± {values.std():.2f}" for values in of.values()]
            rows.append((kind, size, *cells, f"{gain.mean():+.2f}", f"{(gain > 0).mean():.0%}"))
    Report().table(["", "sentences", *WAYS, "expected - counted", "better in"], rows)


if __name__ == "__main__":
    main(sys.argv[1:])

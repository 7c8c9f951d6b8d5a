"""The page: question, what the articles claim, what was measured, verdict, and how to repeat it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean

from kexue.ops.device import choose_device
from kexue.studies.claims import Claim, add_verdicts, judge
from kexue.studies.divergence.comparison import Comparison, compare
from kexue.studies.divergence.trainings import Outcome, TrainedOn
from kexue.studies.divergence.variants import NONE, VARIANTS
from kexue.studies.frame import ask, begin, repeat
from kexue.studies.options import StudyOptions
from kexue.studies.outcomes import Key
from kexue.studies.page import Page, spread

CLAIMS = (
    ("R-Drop gains with the divergence of the sigmoid, alpha 0.1", "R-Drop, sigmoid", True),
    ("It does so with alpha 1", "R-Drop, sigmoid, alpha 1", True),
    ("It does so with the paper's alpha of 4", "R-Drop, sigmoid, alpha 4", True),
    ("With the KL divergence of a softmax it makes the model worse", "R-Drop, softmax, alpha 1", False),
    ("FGM gains, as it does for classification", "FGM", True),
)
"""What is claimed, of which variant, and whether it is a gain."""


def write(
    outcomes: Mapping[Key, Outcome],
    options: StudyOptions,
    sets: Sequence[TrainedOn],
) -> Page:
    """The whole page, with the variants of which all seeds are there."""
    page = begin("Does a regulariser help, and which divergence?", options)
    _question(page)
    claims: list[Claim] = []
    for data in sets:
        own = {variant: [outcomes.get((data.name, variant, seed)) for seed in data.seeds] for variant in VARIANTS}
        whole = {variant: [found for found in seeds if found] for variant, seeds in own.items() if all(seeds)}
        if NONE in whole:
            comparisons = compare(whole, data.sizes.num_samples)
            _measured(page, data, comparisons)
            claims += judged(data.name, comparisons)
    add_verdicts(page, claims)
    trained = sum(outcome.seconds for outcome in outcomes.values())
    rest = f"{trained / 60:.1f} minutes of training; written by the study from divergence.jsonl beside it."
    seeds = sorted({seed for data in sets for seed in data.seeds})
    repeat(page, "divergence", options, choose_device(options.device).type, seeds, rest)
    return page


def _question(page: Page) -> None:
    ask(
        page,
        """R-Drop asks that two passes over a text, which differ by dropout, say the same; VAT and FGM ask for the same,
        or for the right answer, where the embeddings are moved a little in the worst direction. Does any of them help
        GPLinker? And by which divergence are two passes compared: the one that fits the multi-label loss, softmax KL,
        or squares?""",
        """Su Jianlin, [archives/9039](https://kexue.fm/archives/9039) (2022): for GlobalPointer the divergence is the
        sum of (sigmoid(s) - sigmoid(t)) (s - t); with it R-Drop gains a little, while the KL divergence of a softmax
        over the scores makes it worse. No table is given. For classification
        [archives/8496](https://kexue.fm/archives/8496) reports R-Drop, FGM and gradient penalty at 1 to 2.4 points
        over none.""",
        claims="What the articles claim",
    )


def _measured(page: Page, data: TrainedOn, comparisons: Mapping[str, Comparison]) -> None:
    page.heading(data.name)
    page.text(
        f"""Strict F1 of relations, in points; GPLinker, efficient scorers, on {Path(data.encoder).name};
        {data.sizes.epochs} epochs in batches of {data.sizes.batch_size}, the best epoch by dev, everything else as
        `kexue train` does it but without packing; seeds {", ".join(map(str, data.seeds))}. Dev, by the rule "every
        score above 0", and test, by thresholds: mean and standard deviation over the seeds. Interval and gain: counts
        of all seeds together, with the 95% interval over resamples of the test documents, the same for all variants.
        Time: median seconds of a training, of the processor where it is trained there, as a multiple of none's."""
    )
    page.table(
        ["variant", "dev", "test", "95% interval", "gain over none", "its 95% interval", "time"],
        [
            [
                name,
                spread(own.dev, scale=100),
                spread(own.test, scale=100),
                f"{100 * own.interval[0]:.1f} to {100 * own.interval[1]:.1f}",
                *(["", ""] if name == NONE else _gain(own)),
                f"{own.seconds / comparisons[NONE].seconds:.2f}",
            ]
            for name, own in comparisons.items()
        ],
    )
    page.text(_verdict(comparisons))


def _gain(own: Comparison) -> list[str]:
    low, high = own.gain_interval
    return [f"{100 * own.gain:+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}"]


def _verdict(comparisons: Mapping[str, Comparison]) -> str:
    """In words: which gains are more than noise of the test set, and which are not."""
    others = {name: own for name, own in comparisons.items() if name != NONE}
    better = [name for name, own in others.items() if not own.is_noise and own.gain > 0]
    worse = [name for name, own in others.items() if not own.is_noise and own.gain < 0]
    noise = [name for name, own in others.items() if own.is_noise]
    parts = (
        ("Better than none beyond the noise of the test set", better),
        ("Worse beyond it", worse),
        ("Not to be told from none", noise),
    )
    return " ".join(f"{what}: {'; '.join(names) or 'nothing'}." for what, names in parts)


def judged(data: str, comparisons: Mapping[str, Comparison]) -> Iterator[Claim]:
    """The claims, each decided only where the test set is beyond its noise and dev says the same."""
    none = comparisons[NONE]
    for says, name, gains in CLAIMS:
        if name not in comparisons:
            continue
        own = comparisons[name]
        on_dev = mean(own.dev) - mean(none.dev)
        low, high = own.gain_interval
        because = (
            f"{data}, {name}: test {100 * own.gain:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}), dev "
            f"{100 * on_dev:+.1f}, {len(own.dev)} seed{'s' * (len(own.dev) > 1)}"
        )
        decides = not own.is_noise and on_dev * own.gain > 0
        yield judge(says, (own.gain > 0) == gains, because, decides=decides)

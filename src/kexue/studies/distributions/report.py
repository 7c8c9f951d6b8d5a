"""The page: question, what the article claims, what was measured, verdict, and how to repeat it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from statistics import mean, stdev

from kexue.studies.claims import add_verdicts
from kexue.studies.distributions.attention import AttentionOutcome
from kexue.studies.distributions.contenders import Contender
from kexue.studies.distributions.data import FOLDERS
from kexue.studies.distributions.findings import Findings
from kexue.studies.distributions.verdict import CONTROL, beyond_chance, judged
from kexue.studies.frame import ask, begin, repeat
from kexue.studies.options import StudyOptions
from kexue.studies.page import Page, spread

MAPS = "distributions-maps.png"
FOCUS = "distributions-attention.png"


def write(findings: Findings, options: StudyOptions, seeds: Sequence[int], drawn: bool, seconds: float) -> Page:
    """The whole page; `drawn` says whether the pictures lie beside it, `seconds` how long it all took."""
    page = begin("Does the noise law matter?", options)
    _question(page)
    _properties(page, findings)
    _quadrature(page, findings)
    if drawn:
        _maps(page)
    _classification(page, findings)
    _attention(page, findings, drawn)
    _cost(page, findings)
    _against_softmax(page, findings)
    add_verdicts(page, judged(findings))
    rest = f"""{seconds / 60:.1f} minutes; written by the study. Fashion-MNIST is Xiao et al. 2017 (10,000 examples to
        learn from), the digits are scikit-learn's, WebNLG is the version with whole entities, one example for each
        triple."""
    repeat(page, "distributions", options, "cpu", seeds, rest)
    return page


def _question(page: Page) -> None:
    ask(
        page,
        """Softmax is the law of argmax(loc + Gumbel noise). Another noise gives another map from locations to
        probabilities, with the same rights. Is any of them better than softmax: more accurate, better calibrated,
        sparse where that helps? And what does it cost?""",
        """Su Jianlin, [archives/9085](https://kexue.fm/archives/9085) (2022): p_i = P(argmax_j(loc_j + eps_j) = i)
        is a distribution for any noise; it keeps the order of the locations and does not change under a common
        shift; Gumbel noise gives softmax, the only closed form that the author found; other laws can be computed
        by a mean over quantiles of the noise. The article reports no experiment. It leaves open that noise bounded
        on both sides gives probabilities of exactly 0, and that exponential noise of either sign has a closed form
        too; both are in [the guide](../distributions.md).""",
    )


def _properties(page: Page, findings: Findings) -> None:
    page.heading("What holds for every law")
    page.text(
        """Drawn locations of standard deviation 2, float64: the largest distance of the sum of p from 1; the largest
        fall of p from a location to the next larger one; the share of such neighbours, which all differ, that have the
        same p; the largest change of p by a shift of all locations."""
    )
    page.table(
        ["law", "sum less 1", "fall", "same p", "change by a shift"],
        [
            [name, f"{law.sum_error:.1g}", f"{law.fall:.1g}", f"{law.ties:.0%}", f"{law.shift_error:.1g}"]
            for name, law in findings.properties.laws.items()
        ],
    )


def _quadrature(page: Page, findings: Findings) -> None:
    page.heading("The article's quadrature")
    page.text(
        """Normal noise; locations drawn with standard deviation 1, or all equal. The sum should be 1. The mean over
        the quantiles k / (K + 1) misses the sliver near 1 in which the winner among many classes is decided."""
    )
    page.table(
        ["classes", "quantiles K", "sum, equal", "sum, drawn", "largest error, drawn"],
        [
            [
                str(row.num_classes),
                str(row.num_quantiles),
                f"{row.sum_of_equal:.4f}",
                f"{row.sum_of_drawn:.4f}",
                f"{row.error_of_drawn:.1e}",
            ]
            for row in findings.quadrature
        ],
    )


def _maps(page: Page) -> None:
    page.heading("The maps for three classes")
    page.picture(MAPS, "One panel for each map")
    page.text(
        """The plane is that of the locations, with one class pulling up, one down left, one down right. Colours mix
        as p does. White lines: a probability is 0.5, 0.75, 0.95; beyond a black line one is exactly 0. Laws are
        scaled so that the middle half of the noise is as wide as Gumbel's. Gumbel's own panel would be softmax's."""
    )


def _classification(page: Page, findings: Findings) -> None:
    page.heading("Classification")
    page.text(
        """A network with one hidden layer; only the map and its loss differ. Cross entropy where p is never 0, the
        Fenchel-Young loss for noise bounded on both sides; sparsemax and entmax with their own. Normal noise is
        tried with the Fenchel-Young loss (FY) and the expected error (EE, the surrogate of the accuracy) too. ECE:
        expected calibration error, 15 bins of equal mass. Zeros: share of the test probabilities that are exactly
        0, or smaller than float32 or the tolerance can tell from 0 (as with noise that is not bounded on both
        sides). Time: processor time of the whole training, as a multiple of softmax's with the same seed, median.
        Mean and standard deviation over the seeds, in percent."""
    )
    for data, outcomes in findings.classified.items():
        page.heading(data, 3)
        times = findings.training_times(data)
        page.table(
            ["map", "loss", "accuracy", "ECE", "zeros", "time"],
            [
                [
                    contender.name,
                    contender.loss_name,
                    spread([outcome.accuracy for outcome in outcomes[contender.name]], scale=100),
                    spread([outcome.calibration_error for outcome in outcomes[contender.name]], scale=100),
                    spread([outcome.zeros for outcome in outcomes[contender.name]], scale=100),
                    f"{times[contender.name]:.1f}",
                ]
                for contender in findings.classifiers
                if contender.name in outcomes
            ],
        )
        _left_out(page, findings.classifiers, outcomes, findings.limit)
    for missing in (name for name in FOLDERS if name not in findings.classified):
        page.text(f"{missing}: not measured, no folder was given (`--data {missing}=FOLDER`).")


def _attention(page: Page, findings: Findings, drawn: bool) -> None:
    lengths = findings.lengths
    page.heading("Attention")
    page.text(
        f"""Find the largest of n items: each has a priority and a class, and the answer is the class of the item with
        the highest priority, read by one attention head whose weights are the map of its scores (the task of
        Velickovic et al. 2024). Learned with {lengths[0]} items, tested with more. Right answers in percent; focus is
        the weight on the right item with {lengths[0]} and with {lengths[-1]} items; zeros, the share of weights that
        are exactly 0 with {lengths[-1]} items, in percent."""
    )
    page.table(
        [
            "map",
            *(f"right, n = {length}" for length in lengths),
            f"focus, n = {lengths[0]}",
            f"focus, n = {lengths[-1]}",
            "zeros",
        ],
        [[name, *_attention_row(runs)] for name, runs in findings.attended.items()],
    )
    _left_out(page, findings.maps, findings.attended, findings.limit)
    if drawn:
        page.picture(FOCUS, "Weight on the right item by the number of items")


def _attention_row(runs: Sequence[Mapping[int, AttentionOutcome]]) -> list[str]:
    shortest, longest = min(runs[0]), max(runs[0])
    return [
        *(spread([run[length].accuracy for run in runs], scale=100) for length in runs[0]),
        spread([run[shortest].focus for run in runs], 2),
        spread([run[longest].focus for run in runs], 2),
        spread([run[longest].zeros for run in runs], scale=100),
    ]


def _cost(page: Page, findings: Findings) -> None:
    page.heading("Cost of the loss and its gradient")
    page.text(
        """float32, locations of standard deviation 2; processor time as a multiple of the softmax cross
        entropy's on the same tensor, all in turns, median of the rounds."""
    )
    shapes = list(findings.costs)
    milliseconds = ", ".join(f"{1000 * findings.costs[shape][1]:.2f}" for shape in shapes)
    page.table(
        ["map", *(f"{batch} x {num_classes}" for batch, num_classes in shapes)],
        [
            [contender.name, *(_cost_cell(findings.costs[shape][0], contender.name) for shape in shapes)]
            for contender in findings.maps
        ],
    )
    page.text(f"Softmax takes {milliseconds} ms.")


def _cost_cell(costs: Mapping[str, float], name: str) -> str:
    return f"{costs[name]:.1f}" if name in costs else "too slow"


def _left_out(page: Page, wanted: Sequence[Contender], measured: Container[str], limit: float) -> None:
    """A sentence on the maps that are missing from a table, if any."""
    names = [contender.name for contender in wanted if contender.name not in measured]
    if names:
        page.text(f"Left out, because one training would take too long (limit {limit:.0f} s): {', '.join(names)}.")


def _against_softmax(page: Page, findings: Findings) -> None:
    """Who is best and worst where, and who differs from softmax by more than chance."""
    page.heading("Against softmax")
    page.text(
        """Right answers in percent, means over the seeds; the seeds of one map differ by their standard deviation, mean
        over the maps. Beyond chance: by Tukey's test over all maps of a row, 5 %."""
    )
    rows = []
    for data, samples in findings.accuracies().items():
        means = {name: 100 * mean(values) for name, values in samples.items()}
        best, worst = (choose(means, key=lambda name: means[name]) for choose in (max, min))
        seeds = min(map(len, samples.values()))
        between = f"{mean(100 * stdev(values) for values in samples.values()):.1f}" if seeds > 1 else "one seed"
        better, worse = (", ".join(names) or "none" for names in beyond_chance(samples))
        shown = (f"{name} {means[name]:.1f}" for name in (best, worst))
        rows.append([data, f"{means[CONTROL]:.1f}", *shown, between, better, worse])
    page.table(["on", f"{CONTROL}'s", "best", "worst", "seeds", "better beyond chance", "worse beyond chance"], rows)

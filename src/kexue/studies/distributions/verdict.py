"""What the numbers say of the article's claims, and of our question, whether another law is better than softmax.

Three seeds show a difference only where Tukey's test over all maps does, and exclude one only where its intervals are
narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from statistics import mean

from kexue.distributions import NOISES
from kexue.studies.claims import Claim, judge
from kexue.studies.distributions.findings import Findings
from kexue.studies.distributions.properties import MANY, title

CONTROL = "softmax"
LAWS = tuple(title(name) for name in NOISES if name != "gumbel")
"""All but Gumbel's, which is softmax."""
SPARSE = tuple(title(name) for name, law in NOISES.items() if law().sparse)
EXACT = 1e-9
"""What is less than this counts as rounding."""
NEAR = 0.01
"""Of a sum from 1, and of a gain that matters: a share, or a point."""
LITTLE = 2.0
"""Times softmax's processor time."""
Samples = Mapping[str, Sequence[float]]


def judged(findings: Findings) -> list[Claim]:
    """The claims of the article, then our question."""
    return [
        *_of_every_law(findings),
        *_closed_forms(findings),
        _quadrature(findings),
        _better("Another law is more accurate than softmax (our question)", findings.accuracies()),
        _better("Another law is better calibrated than softmax (our question)", findings.calibrations()),
        _sparse(findings),
        _cheap(findings),
    ]


def gains(samples: Samples, control: str = CONTROL, level: float = 0.05) -> dict[str, tuple[float, float]]:
    """How much larger the mean of each is than that of `control`, as an interval by Tukey's test over all of them.

    Empty where there is no spread to test with.
    """
    names = list(samples)
    if min(map(len, samples.values())) < 2 or all(len(set(values)) == 1 for values in samples.values()):
        return {}
    intervals = _tukey(tuple(map(tuple, samples.values())), names.index(control), level)
    return {name: interval for name, interval in zip(names, intervals, strict=True) if name != control}


@cache
def _tukey(samples: tuple[tuple[float, ...], ...], control: int, level: float) -> list[tuple[float, float]]:
    """Kept, as it takes a moment and the page asks several times."""
    from scipy.stats import tukey_hsd

    found = tukey_hsd(*samples).confidence_interval(1 - level)
    return list(zip(found.low[:, control].tolist(), found.high[:, control].tolist(), strict=True))


def beyond_chance(samples: Samples, control: str = CONTROL) -> tuple[list[str], list[str]]:
    """The names whose mean is larger than that of `control` by more than chance, and those whose mean is smaller."""
    found = gains(samples, control)
    return [name for name, (low, _) in found.items() if low > 0], [name for name, (_, up) in found.items() if up < 0]


def _of_every_law(findings: Findings) -> list[Claim]:
    laws = findings.properties.laws
    sums, falls, shifts = (
        max(getattr(law, name) for law in laws.values()) for name in ("sum_error", "fall", "shift_error")
    )
    tied = {name: law.ties for name, law in laws.items() if law.ties}
    ties = f"; but neighbours that differ get the same p, 0: {_listed(tied, '{:.0%}')} of them" if tied else ""
    return [
        judge(
            "P(argmax(loc + noise) = i) is a distribution for any noise",
            sums < EXACT,
            f"{len(laws)} laws: the sum is 1 to {sums:.0e}",
        ),
        judge(
            "It keeps the order of the locations, whatever the noise",
            falls < EXACT and not tied,
            f"the largest fall of p where locations rise is {falls:.1g}{ties}",
            partly=falls < EXACT,
        ),
        judge("It does not change under a common shift of the locations", shifts < EXACT, f"to {shifts:.0e}"),
    ]


def _closed_forms(findings: Findings) -> list[Claim]:
    error, closed = findings.properties.softmax_error, dict(findings.properties.closed_errors)
    own = closed.pop("gumbel")
    others = [name for name, off in closed.items() if off < 2 * own]
    return [
        judge("Gumbel noise gives softmax", error < EXACT, f"to {error:.0e}"),
        judge(
            "No other law has a closed form (the author found none)",
            not others,
            f"closed forms less the mean over {MANY:,} quantiles: {_listed(closed, '{:.1e}')}; softmax for Gumbel's "
            f"{own:.1e}, which is what that mean errs",
        ),
    ]


def _quadrature(findings: Findings) -> Claim:
    sums = {
        f"{row.num_classes} classes and {row.num_quantiles} quantiles": max(
            row.sum_of_equal, row.sum_of_drawn, key=lambda value: abs(value - 1)
        )
        for row in findings.quadrature
    }
    near = [case for case, value in sums.items() if abs(value - 1) < NEAR]
    return judge(
        "Other laws can be computed by a mean over quantiles of the noise",
        len(near) == len(sums),
        f"the sum of p, which should be 1: {_listed(sums, '{:.3f}')}",
        partly=bool(near),
    )


def _better(says: str, by_set: Mapping[str, Samples]) -> Claim:
    """Whether any law is, on each of the sets; that none is by a point takes intervals that say so everywhere."""
    better: list[str] = []
    worse: list[str] = []
    best: dict[str, float] = {}
    no_more = True
    for data, samples in by_set.items():
        laws = [name for name in LAWS if name in samples]
        above, below = beyond_chance(samples)
        better += [data] * bool({*above} & {*laws})
        worse += [f"{name} on {data}" for name in below if name in laws]
        own = {name: mean(samples[name]) - mean(samples[CONTROL]) for name in laws}
        first = max(own, key=lambda name: own[name])
        best[f"{data} {first}"] = 100 * own[first]
        found = gains(samples)
        no_more &= bool(found) and all(found[name][1] < NEAR for name in laws)
    where = f"on {', '.join(better)}" if better else "nowhere"
    return judge(
        says,
        len(better) == len(by_set),
        f"beyond chance {where}; the best law in points: {_listed(best, '{:+.1f}')}; worse beyond chance: "
        f"{', '.join(worse) or 'none'}",
        partly=bool(better),
        decides=bool(better) or no_more,
    )


def _sparse(findings: Findings) -> Claim:
    outcomes = findings.longest()
    laws = [name for name in SPARSE if name in outcomes]
    right = {name: [run.accuracy for run in runs] for name, runs in outcomes.items()}
    focus = {name: [run.focus for run in runs] for name, runs in outcomes.items()}
    zeros = {name: mean(run.zeros for run in outcomes[name]) for name in laws}
    more_right, more_focus = ([name for name in beyond_chance(own)[0] if name in laws] for own in (right, focus))
    found = gains(right)
    no_more = bool(found) and all(found[name][1] < NEAR for name in laws)
    means = {name: f"{mean(focus[name]):.2f} and {100 * mean(right[name]):.1f} %" for name in (CONTROL, *laws)}
    return judge(
        "Noise bounded on both sides helps attention over more items than were learnt with (our question)",
        len(more_right) == len(laws),
        f"weight on the right one of {findings.lengths[-1]} items and right answers: {_listed(means, '{}')}; beyond "
        f"chance more weight: {', '.join(more_focus) or 'none'}; right answers: {', '.join(more_right) or 'none'}; "
        f"of the weights are 0: {_listed(zeros, '{:.0%}')}",
        partly=bool(more_right or more_focus),
        decides=bool(laws) and (bool(more_right or more_focus) or no_more),
    )


def _cheap(findings: Findings) -> Claim:
    steps = [(cost, name) for costs, _ in findings.costs.values() for name, cost in costs.items() if name in LAWS]
    trainings = [
        time for data in findings.classified for name, time in findings.training_times(data).items() if name in LAWS
    ]
    if not steps:
        return judge("Another law costs little more than softmax (our question)", False, "all too slow", decides=False)
    (low, first), (high, last) = min(steps), max(steps)
    return judge(
        "Another law costs little more than softmax (our question)",
        high < LITTLE,
        f"loss and gradient take {low:,.1f} ({first}) to {high:,.0f} times ({last}) as long; whole trainings of small "
        f"networks {min(trainings):.1f} to {max(trainings):.1f} times",
        partly=low < LITTLE,
    )


def _listed(values: Mapping[str, object], form: str) -> str:
    return ", ".join(f"{name} {form.format(value)}" for name, value in values.items())

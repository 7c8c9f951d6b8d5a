"""What the numbers say, in sentences: differences are named where three seeds can show them, and not otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev


def differing(samples: Mapping[str, Sequence[float]], control: str, level: float = 0.05) -> list[str]:
    """The names whose mean differs from that of `control`, by Tukey's test over all of them at this level."""
    from scipy.stats import tukey_hsd

    names = list(samples)
    if min(map(len, samples.values())) < 2 or all(len(set(values)) == 1 for values in samples.values()):
        return []
    chances = tukey_hsd(*samples.values()).pvalue[names.index(control)]
    return [name for name, chance in zip(names, chances, strict=True) if name != control and chance < level]


def describe_accuracies(data: str, samples: Mapping[str, Sequence[float]], control: str = "softmax") -> str:
    """One sentence on a data set: best, worst, softmax, and who differs from softmax."""
    means = {name: 100 * mean(values) for name, values in samples.items()}
    best, worst = max(means, key=lambda name: means[name]), min(means, key=lambda name: means[name])
    sentence = (
        f"{data}: {best} is best with {means[best]:.1f} %, {worst} worst with {means[worst]:.1f} %; "
        f"{control} has {means[control]:.1f} %."
    )
    if min(map(len, samples.values())) < 2:
        return f"{sentence} One seed shows no more than that."
    between = mean(100 * stdev(values) for values in samples.values())
    return f"{sentence} The seeds of one map differ by {between:.2f} points. {_say_differing(samples, control)}"


def _say_differing(samples: Mapping[str, Sequence[float]], control: str) -> str:
    names = differing(samples, control)
    if not names:
        return f"None differs from {control} by more than chance (Tukey's test over all maps, 5 %)."
    better = [name for name in names if mean(samples[name]) > mean(samples[control])]
    worse = [name for name in names if name not in better]
    parts = [f"{', '.join(some)} {word}" for some, word in ((better, "better"), (worse, "worse")) if some]
    return f"Beyond chance (Tukey's test over all maps, 5 %): {'; '.join(parts)} than {control}."

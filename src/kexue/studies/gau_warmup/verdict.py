"""Which of the article's claims hold in these numbers, and whether a Transformer at the same place needs help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import mean

from kexue.studies.claims import Claim, judge
from kexue.studies.gau_warmup.branch import Setting, article_estimate, corrected_estimate
from kexue.studies.gau_warmup.contenders import DEEP_NORM, PLAIN, WARM_UP
from kexue.studies.gau_warmup.findings import DIVERGES, TRAINS, Findings, Run, depths, names, runs_of

CLAIMED = 0.02
"""The article's two orders of magnitude, with a factor of two to spare."""
NEAR = 1.5
"""Times an estimate, or less, is near it."""
TENS, HUNDREDS, THOUSANDS = 10, 100, 10_000
"""Of branches, from which on a claim speaks of them."""


def judged(findings: Findings) -> list[Claim]:
    """The article's estimate, what it makes of it, and the Transformer beside it."""
    return [
        _estimated(findings),
        _small(findings),
        _tens(findings),
        _hundreds(findings),
        _thousands(findings),
        _transformer(findings),
    ]


def _estimated(findings: Findings) -> Claim:
    plain = {setting: mean(values) for setting, values in findings.curves.items() if not setting.rotary}
    times, corrected = (
        {setting: value / estimate(setting.num_tokens, setting.key_dim) for setting, value in plain.items()}
        for estimate in (article_estimate, corrected_estimate)
    )
    near = [setting for setting, factor in times.items() if 1 / NEAR < factor < NEAR]
    least, most = (choose(times, key=lambda setting: times[setting]) for choose in (min, max))
    off = max(abs(1 / factor - 1) for factor in corrected.values())
    return judge(
        "GAU(x) is s nu^6 / n of x, as the attention is almost diagonal",
        len(near) == len(times),
        f"without positions {times[least]:.1f} ({_sizes(least)}) to {times[most]:.1f} times that ({_sizes(most)}), "
        f"within a factor of {NEAR} at {len(near)} of {len(times)} lengths and key dimensions: the weights off the "
        f"diagonal add up; the corrected estimate is off by at most {off:.0%}",
        partly=2 * len(near) >= len(times),
    )


def _sizes(setting: Setting) -> str:
    return f"n = {setting.num_tokens}, s = {setting.key_dim}"


def _small(findings: Findings) -> Claim:
    longest = max(setting.num_tokens for setting in findings.kinds)
    kinds = {setting: mean(values) for setting, values in findings.kinds.items() if setting.num_tokens == longest}
    usual = {
        setting.rotary: (setting, value)
        for setting, value in kinds.items()
        if (setting.attention, setting.initialization) == ("squared_relu", "lecun")
    }
    rotary = {setting: value for setting, value in kinds.items() if setting.rotary}
    tried = Counter(setting.initialization for setting in rotary)
    small = Counter(setting.initialization for setting, value in rotary.items() if value < CLAIMED)
    return judge(
        "At the usual settings GAU(x) is almost two orders of magnitude smaller than x",
        all(value < CLAIMED for _, value in usual.values()),
        f"squared ReLU, LeCun's weights, {_sizes(usual[True][0])}: {usual[False][1]:.2g} of x, with rotary positions "
        f"{usual[True][1]:.2g}. With these {small.total()} of {tried.total()} maps and initialisations are below "
        f"{CLAIMED}: {', '.join(f'{_words(name)} {small[name]} of {num}' for name, num in tried.items())}",
        partly=bool(small),
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _tens(findings: Findings) -> Claim:
    runs = _units(findings, TENS, HUNDREDS)
    xavier = [run for run in runs if "xavier" in run.contender]
    return judge(
        "With the norm after the sum and Xavier's weights tens of units train without warm-up",
        bool(xavier) and _all_train(findings, runs),
        f"{_counted(findings, runs)}: {_initializations(runs)}{'' if xavier else '; Xavier was not trained'}",
        partly=_some_train(findings, runs),
        decides=bool(runs),
    )


def _hundreds(findings: Findings) -> Claim:
    runs = _units(findings, HUNDREDS, THOUSANDS)
    deepest = max((run.depth for run in runs), default=0)
    finals = {
        name: mean(run.final for run in own)
        for name in names(findings.by_depth)
        if (own := runs_of(findings.by_depth, name, deepest))
    }
    order = sorted(finals, key=lambda name: finals[name])
    return judge(
        "Hundreds of such units need no change",
        deepest >= 2 * HUNDREDS and _all_train(findings, runs),
        f"{_counted(findings, runs)}, deeper not tried; final losses {'; '.join(f'{n} {finals[n]:.2f}' for n in order)}"
        if runs
        else "not trained",
        partly=_some_train(findings, runs),
        decides=bool(runs),
    )


def _thousands(findings: Findings) -> Claim:
    branches = [mean(values) for setting, values in findings.kinds.items() if setting.initialization == "normal"]
    runs = [run for run in _units(findings, 0, None) if run.contender.endswith(", normal")]
    deepest = max((run.depth for run in runs), default=0)
    return judge(
        "With weights of 0.02 tens of thousands train, in theory",
        deepest >= THOUSANDS and _all_train(findings, runs),
        f"the branch is {min(branches):.2g} to {max(branches):.2g} of x; "
        f"{_counted(findings, runs) if runs else 'not trained at any depth'}",
        partly=_some_train(findings, runs),
        decides=bool(runs),
    )


def _transformer(findings: Findings) -> Claim:
    """Needed is help where the plain one does not train, and it is help if it does so there."""
    runs = findings.by_depth
    here = depths(runs)
    stuck = [depth for depth in here if not _all_train(findings, runs_of(runs, PLAIN, depth))]
    helped = {
        word: [depth for depth in stuck if _all_train(findings, runs_of(runs, name, depth))]
        for word, name in (("warm-up", WARM_UP), ("DeepNorm", DEEP_NORM))
    }
    lost = sorted({run.contender for run in runs if findings.outcome(run) == DIVERGES})
    alone = [depth for depth in here if depth not in stuck]
    said = "".join(f", with {word} at {_listed(own)} of these" for word, own in helped.items()) if stuck else ""
    return judge(
        "With the norm after the sum a deep Transformer needs warm-up or DeepNorm (the premise)",
        bool(stuck) and all(own == stuck for own in helped.values()),
        f"alone it learns from context at {_listed(alone)} branches and not at {_listed(stuck)}{said}; "
        f"{'diverged: ' + '; '.join(lost) if lost else 'what fails stalls, none diverges'}",
        partly=any(helped.values()),
        decides=bool(here),
    )


def _units(findings: Findings, least: int, below: int | None) -> list[Run]:
    """Trainings of gated units with so many branches."""
    runs = [*findings.by_depth, *findings.by_beginning]
    return [run for run in runs if run.contender.startswith("GAU") and least <= run.depth < (below or run.depth + 1)]


def _all_train(findings: Findings, runs: Sequence[Run]) -> bool:
    return bool(runs) and all(findings.outcome(run) == TRAINS for run in runs)


def _some_train(findings: Findings, runs: Sequence[Run]) -> bool:
    """Whether one of the contenders always does."""
    return any(_all_train(findings, [run for run in runs if run.contender == name]) for name in names(runs))


def _counted(findings: Findings, runs: Sequence[Run]) -> str:
    learnt = sum(findings.outcome(run) == TRAINS for run in runs)
    return f"{learnt} of {len(runs)} trainings at {_listed(depths(runs))} units learn from context"


def _initializations(runs: Sequence[Run]) -> str:
    return ", ".join(dict.fromkeys(run.contender.rpartition(", ")[2] for run in runs))


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"

"""Which of the article's claims hold in these numbers, in sentences that follow from them alone."""

from __future__ import annotations

from statistics import mean

from kexue.studies.gau_warmup.branch import Setting, article_estimate, corrected_estimate
from kexue.studies.gau_warmup.findings import DIVERGES, TRAINS, Findings, Run, depths, names, runs_of

CLAIMED = 0.02
"""The article's two orders of magnitude, with a factor of two to spare."""


def verdict(findings: Findings) -> list[str]:
    """One sentence or two for each claim."""
    return [_estimates(findings), _small(findings), *_trains(findings), _warm_up(findings)]


def _estimates(findings: Findings) -> str:
    plain = {setting: mean(values) for setting, values in findings.curves.items() if not setting.rotary}
    longest = max(plain, key=lambda setting: (setting.num_tokens, setting.key_dim))
    n, s = longest.num_tokens, longest.key_dim
    measured, article, corrected = plain[longest], article_estimate(n, s), corrected_estimate(n, s)
    worst = max(
        abs(corrected_estimate(setting.num_tokens, setting.key_dim) / value - 1) for setting, value in plain.items()
    )
    return (
        f"The estimate s nu^6 / n: at n = {n}, s = {s}, without positions, it gives {article:.4f}; measured is "
        f"{measured:.4f}, {measured / article:.1f} times as much; the corrected estimate gives {corrected:.4f}. Over "
        f"all lengths and key dimensions the corrected one is off by at most {worst:.0%}."
    )


def _small(findings: Findings) -> str:
    holds, fails = [], []
    for setting, values in findings.kinds.items():
        if setting.rotary and setting.num_tokens == max(s.num_tokens for s in findings.kinds):
            (holds if mean(values) < CLAIMED else fails).append(_kind(setting))
    return (
        f'"Two orders of magnitude smaller" (here: below {CLAIMED}, with rotary positions) holds for '
        f"{'; '.join(holds) or 'none'}. It does not for {'; '.join(fails) or 'none'}."
    )


def _kind(setting: Setting) -> str:
    return f"{setting.attention.replace('_', ' ')} with {setting.initialization.replace('_', ' ')}"


def _trains(findings: Findings) -> list[str]:
    """What became of each contender."""
    return [_fate(findings, name) for name in names(findings.by_depth)]


def _fate(findings: Findings, name: str) -> str:
    parts = []
    for depth in depths(findings.by_depth):
        runs = runs_of(findings.by_depth, name, depth)
        counts = [findings.outcome(run) for run in runs]
        parts.append(f"{counts.count(TRAINS)} of {len(runs)} at {depth}")
    return f"{name}: seeds that learn from context: {', '.join(parts)} branches."


def _warm_up(findings: Findings) -> str:
    deepest = depths(findings.by_depth)[-1]
    finals = {name: _final(runs_of(findings.by_depth, name, deepest)) for name in names(findings.by_depth)}
    order = sorted(finals, key=lambda name: finals[name])
    listed = ", ".join(f"{name} {finals[name]:.2f}" for name in order)
    lost = [run.contender for run in findings.by_depth if findings.outcome(run) == DIVERGES]
    said = f"Diverged: {', '.join(sorted(set(lost)))}." if lost else "None diverged; where a model fails it stalls."
    return (
        f"Final losses at {deepest} branches, from the best: {listed} (a character's entropy {findings.entropy:.2f}). "
        f"{said}"
    )


def _final(runs: list[Run]) -> float:
    return mean(run.final for run in runs)

"""Two pictures: how the branch shrinks with the length of the text, and the losses of all trainings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from kexue.studies.gau_warmup.branch import Setting, article_estimate, corrected_estimate
from kexue.studies.gau_warmup.findings import Findings, Run, depths, names

WINDOW = 10
"""Steps over which a drawn loss is averaged."""


def draw_branch(findings: Findings, path: Path) -> None:
    """Measured ratios and both estimates over the length, a panel for each key dimension."""
    from matplotlib.figure import Figure

    key_dims = sorted({setting.key_dim for setting in findings.curves})
    figure = Figure(figsize=(5.2 * len(key_dims), 4.2), layout="constrained")
    for panel, key_dim in zip(figure.subplots(1, len(key_dims), squeeze=False)[0], key_dims, strict=True):
        lengths = sorted({setting.num_tokens for setting in findings.curves})
        panel.plot(lengths, [article_estimate(n, key_dim) for n in lengths], "k:", label="the article's estimate")
        panel.plot(lengths, [corrected_estimate(n, key_dim) for n in lengths], "k-", label="corrected estimate")
        for rotary, mark in ((False, "o"), (True, "^")):
            points = [_measured(findings, n, key_dim, rotary) for n in lengths]
            panel.plot(lengths, points, mark, label=f"measured, {'with' if rotary else 'without'} rotary positions")
        panel.set(xscale="log", yscale="log", xlabel="tokens n", ylabel="rms of branch / rms of state")
        panel.set_title(f"squared ReLU, LeCun, key dimension {key_dim}", fontsize=10)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    figure.savefig(path, dpi=80)


def _measured(findings: Findings, num_tokens: int, key_dim: int, rotary: bool) -> float:
    return mean(findings.curves[Setting(num_tokens, key_dim, "lecun", "squared_relu", rotary)])


def draw_losses(findings: Findings, path: Path) -> None:
    """Losses over the steps, a panel for each depth; a line for each seed."""
    from matplotlib.figure import Figure

    runs = findings.by_depth
    figure = Figure(figsize=(4 * len(depths(runs)), 4), layout="constrained")
    panels = figure.subplots(1, len(depths(runs)), squeeze=False, sharey=True)[0]
    lowest = min(findings.entropy, *(run.final for run in runs)) - 0.2
    for panel, depth in zip(panels, depths(runs), strict=True):
        for number, name in enumerate(names(runs)):
            own = [run for run in runs if run.contender == name and run.depth == depth]
            for run in own:
                label = name if run is own[0] else None
                panel.plot(_smoothed(run), color=f"C{number}", linewidth=1, alpha=0.8, label=label)
        panel.axhline(findings.entropy, color="black", linestyle=":", linewidth=1)
        panel.set_title(f"{depth} branches", fontsize=10)
        panel.set(xlabel="step", ylim=(lowest, findings.entropy + 0.8))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("loss, nats a character")
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=80)


def _smoothed(run: Run) -> Sequence[float]:
    window = min(WINDOW, len(run.losses))
    return [mean(run.losses[first : first + window]) for first in range(len(run.losses) - window + 1)]

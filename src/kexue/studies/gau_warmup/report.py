"""The page: question, what the article claims, what was measured, verdict, and how to repeat it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from kexue.studies.claims import add_verdicts
from kexue.studies.frame import ask, begin, machines, repeat
from kexue.studies.gau_warmup.branch import Setting, article_estimate, corrected_estimate, floor_estimate
from kexue.studies.gau_warmup.findings import TRAINS, Findings, Run, depths, names, runs_of
from kexue.studies.gau_warmup.sizes import Sizes
from kexue.studies.gau_warmup.verdict import judged
from kexue.studies.options import StudyOptions
from kexue.studies.page import Page, spread

BRANCH = "gau-warmup-branch.png"
LOSSES = "gau-warmup-losses.png"


def write(findings: Findings, options: StudyOptions, sizes: Sizes, device: torch.device, drawn: bool) -> Page:
    """The whole page; `drawn` says whether the pictures lie beside it."""
    page = begin("Does a stack of gated attention units need warm-up?", options)
    _question(page)
    _branch(page, findings, sizes.curves.dim, drawn)
    _kinds(page, findings)
    _training(page, findings, sizes, drawn)
    _beginnings(page, findings, sizes)
    add_verdicts(page, judged(findings))
    runs = [*findings.by_depth, *findings.by_beginning]
    rest = f"""{sum(run.seconds for run in runs) / 60:.1f} minutes of training: {machines(runs)}. The study wrote this
        page from gau-warmup.jsonl beside it."""
    repeat(page, "gau-warmup", options, device.type, sorted({run.seed for run in runs}), rest)
    return page


def _question(page: Page) -> None:
    ask(
        page,
        """A deep stack with the norm after each sum, x <- norm(x + F(x)), is hard to train if F is a Transformer's: one
        lets the learning rate rise slowly, or makes F small (DeepNorm). Is a gated attention unit so small by itself
        that neither is needed?""",
        """Su Jianlin, [archives/8990](https://kexue.fm/archives/8990) (2022): at the usual settings GAU(x) is almost
        two orders of magnitude smaller than x, s nu^6 / n for key dimension s and n tokens (0.011 for 128 and 512),
        since the attention is almost diagonal; so "Post Norm + Xavier" trains tens of layers without warm-up, hundreds
        need no change, and with weights of 0.02 "in theory" tens of thousands. The article reports no experiment.""",
    )


def _branch(page: Page, findings: Findings, dim: int, drawn: bool) -> None:
    page.heading("The branch beside the state")
    page.text(
        f"""rms(GAU(x)) / rms(x) at the start, x standard normal, hidden size {dim}, squared ReLU over n s, LeCun's
        weights. The corrected estimate adds what the article leaves out: the small weights off the diagonal meet values
        whose mean is not 0, and add up. As n grows the branch tends to the floor instead of 0. Rotary positions make
        the weights off the diagonal smaller."""
    )
    plain = [setting for setting in findings.curves if not setting.rotary]
    page.table(
        ["n", "s", "article", "corrected", "floor", "measured, no positions", "measured, rotary"],
        [
            [
                str(setting.num_tokens),
                str(setting.key_dim),
                f"{article_estimate(setting.num_tokens, setting.key_dim):.4f}",
                f"{corrected_estimate(setting.num_tokens, setting.key_dim):.4f}",
                f"{floor_estimate(setting.key_dim):.4f}",
                spread(findings.curves[setting], 4),
                spread(findings.curves[_with_rotary(setting)], 4),
            ]
            for setting in plain
        ],
    )
    if drawn:
        page.picture(BRANCH, "Branch over state by the number of tokens")


def _with_rotary(setting: Setting) -> Setting:
    return Setting(setting.num_tokens, setting.key_dim, setting.initialization, setting.attention, rotary=True)


def _kinds(page: Page, findings: Findings) -> None:
    page.heading("Maps and initialisations")
    page.text(
        """The same ratio for each map and initialisation, with rotary positions (without, in brackets); "depth scaled"
        is GAU-alpha's N^(-1/3), here for 24 layers. "Xavier fused" takes the matrices of U, V and Z as one, as
        bert4keras does; "xavier" each for itself."""
    )
    for length in sorted({setting.num_tokens for setting in findings.kinds}):
        own = [setting for setting in findings.kinds if setting.num_tokens == length and setting.rotary]
        beginnings = list(dict.fromkeys(setting.initialization for setting in own))
        page.table(
            [f"map, n = {length}", *(name.replace("_", " ") for name in beginnings)],
            [
                [attention.replace("_", " "), *(_both(findings, s) for s in own if s.attention == attention)]
                for attention in dict.fromkeys(setting.attention for setting in own)
            ],
        )


def _both(findings: Findings, rotary: Setting) -> str:
    without = Setting(rotary.num_tokens, rotary.key_dim, rotary.initialization, rotary.attention, rotary=False)
    return " ".join(
        text.format(sum(findings.kinds[setting]) / len(findings.kinds[setting]))
        for setting, text in ((rotary, "{:.2g}"), (without, "({:.2g})"))
    )


def _training(page: Page, findings: Findings, sizes: Sizes, drawn: bool) -> None:
    training = sizes.training
    page.heading("Training, norm after each sum")
    page.text(
        f"""Find the hidden fifth of the characters of English sentences (the demo's, {training.length} characters at a
        time, {training.batch_size} stretches a step, {training.steps} steps). Width {training.dim}; as many branches
        for all: N gated units or N/2 Transformer layers, whose parameters are as many. Adam at
        {training.learning_rate:g}, no clipping, no warm-up but where it says so (over the first quarter). Final loss:
        mean of the last tenth of the steps; in brackets how many seeds learn from context, that is end below a
        character's entropy, {findings.entropy:.2f} nats, by 0.1."""
    )
    columns = depths(findings.by_depth)
    page.table(
        ["", *(f"{depth} branches" for depth in columns)],
        [
            [name, *(_cell(findings, runs_of(findings.by_depth, name, depth)) for depth in columns)]
            for name in names(findings.by_depth)
        ],
    )
    if drawn:
        page.picture(LOSSES, "Losses of all trainings; the dotted line is the entropy of a character")


def _beginnings(page: Page, findings: Findings, sizes: Sizes) -> None:
    depth = sizes.beginnings_depth
    page.heading("Initialisation and training")
    page.text(f"The same with other beginnings, {depth} branches.")
    runs = [*findings.by_beginning, *(run for run in findings.by_depth if run.depth == depth)]
    page.table(
        ["", "final loss"],
        [[name, _cell(findings, runs_of(runs, name, depth))] for name in names(runs) if name.startswith("GAU")],
    )


def _cell(findings: Findings, runs: Sequence[Run]) -> str:
    if not runs:
        return "not run"
    learnt = sum(findings.outcome(run) == TRAINS for run in runs)
    return f"{spread([run.final for run in runs], 2)} ({learnt} of {len(runs)})"

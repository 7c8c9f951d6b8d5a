"""DDIM (archives/9181): one marginal for any noise, parts of the chain, the equation, and what it costs."""

from __future__ import annotations

from pathlib import Path

from kexue.studies.ddim import columns, equation, inversion, marginals, observations, subsequences
from kexue.studies.options import StudyOptions
from kexue.studies.parts import Study, run_parts

STUDY = Study(
    name="ddim",
    title="DDIM: one network, any noise, any steps",
    question="""Training knows only p(x_t given x_0), so the noise of the steps and the steps themselves may be chosen
    afterwards. What do less noise and fewer steps cost, and what does the deterministic case give?""",
    claimed="""Su Jianlin, [archives/9181](https://kexue.fm/archives/9181) (2022), after Song, Meng and Ermon (2021):
    every sigma_t from 0 up has the same p(x_t given x_0), whether or not alpha² + sigma² = 1; eta = 1 is DDPM, 0 is
    DDIM. A network trained on T steps can be sampled along any part of the chain, with alpha as the ratio over a
    step; training on large T is still better. sigma = 0 is Euler's method for an ODE, so better methods apply, it can
    be run back to the noise, and one goes between two noises along a sphere. On faces he saw: less sigma_t, more
    noise and diversity; fewer steps, smoother and less diverse; sinusoidal times less noisy than trained ones at
    small sigma_t; without noise worse overall. The paper's table has less noise better at few steps, and sigma-hat,
    beta in place of beta~, best at 1000.""",
    parts=(marginals, equation, columns, subsequences, inversion, observations),
    beyond="""Not measured: the article's observation (5), that a U-Net near the paper's is less noisy than his own,
    which needs his pictures. Digits of 8 × 8 pixels hardly show what is smooth; noise and spread stand for it.""",
)


def run(options: StudyOptions) -> Path:
    """Measure what is not there yet, write the page, and return its path."""
    return run_parts(STUDY, options)

"""DDPM as Bayes and denoising (archives/9164): the posterior, the variance of a step, what is predicted."""

from __future__ import annotations

from pathlib import Path

from kexue.studies.ddpm_bayes import estimators, lookahead, mixture, posterior, targets, variances
from kexue.studies.options import StudyOptions
from kexue.studies.parts import Study, run_parts

STUDY = Study(
    name="ddpm-bayes",
    title="DDPM as Bayes and denoising",
    question="""DDPM's step is the posterior of x_s given x_t and x_0, with x_0 replaced by what a denoiser believes. Is
    that the sampler of the other derivation? Which variance should the step have, and what should be predicted?""",
    claimed="""Su Jianlin, [archives/9164](https://kexue.fm/archives/9164) (2022): Bayes' rule given x_0 yields
    N(alpha_t sigma_s² / sigma_t² x_t + alpha_s beta_t² / sigma_t² x_0, sigma_s² beta_t² / sigma_t²), the denoised x_0
    put in for x_0 gives DDPM again. Predicting x_0 or eps is the same up to a weight. x_0 from x_t is a rough look
    ahead, of which a small step is taken. The variance is beta~² where the data are one point and beta² where they
    are N(0, I). [archives/9245](https://kexue.fm/archives/9245) adds that x_0 is not known exactly, which the
    variance should contain. Here s is the step before t; alpha_s, sigma_s and sigma_t are the article's alpha-bar and
    beta-bar.""",
    parts=(posterior, variances, mixture, estimators, lookahead, targets),
    beyond="""The networks are small and trained for 600 steps: their samples are far from real digits, so that what
    they err outweighs what the samplers err at many steps. `--long` trains larger ones for longer.""",
)


def run(options: StudyOptions) -> Path:
    """Measure what is not there yet, write the page, and return its path."""
    return run_parts(STUDY, options)

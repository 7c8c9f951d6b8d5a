"""Diffusion as an SDE (archives/9209): coefficients, one law for many equations, score matching, samplers."""

from __future__ import annotations

from pathlib import Path

from kexue.studies.options import StudyOptions
from kexue.studies.parts import Study, run_parts
from kexue.studies.sde import coefficients, family, flow, matching, samplers

STUDY = Study(
    name="sde",
    title="Diffusion as an SDE",
    question="""Is a diffusion model no more than a pair alpha(t), sigma(t) and a score? Then the SDE, its reverses, the
    flow, DDPM and DDIM must all have one law. What does each cost, and what does the score matching loss learn?""",
    claimed="""Su Jianlin, [archives/9209](https://kexue.fm/archives/9209) (2022), after Song et al. (2021): the
    forward process is dx = f dt + g dw, whose noise goes with the root of dt; by Bayes its reverse is dx = [f - g²
    score] dt + g dw. Start from the result, p(x_t given x_0) = N(alpha x_0, sigma²): f = d log alpha / dt and g² =
    alpha² d(sigma² / alpha²) / dt follow; alpha = 1 is VE, alpha² + sigma² = 1 VP. The score is a weighted mean of
    conditional scores, so matching these is matching it; with eps it is DDPM's loss, and the reverse step is DDPM's
    to first order in dt. [archives/9228](https://kexue.fm/archives/9228) adds the family of SDEs with one law, down
    to an ODE.""",
    parts=(coefficients, family, matching, flow, samplers),
)


def run(options: StudyOptions) -> Path:
    """Measure what is not there yet, write the page, and return its path."""
    return run_parts(STUDY, options)

"""DDPM as an autoregressive VAE (archives/9152): its bound term by term, its noise levels, its loss, its lessons."""

from __future__ import annotations

from pathlib import Path

from kexue.studies.ddpm_vae import lessons, noise_levels, objectives, reduction, small_steps
from kexue.studies.options import StudyOptions
from kexue.studies.parts import Study, run_parts

STUDY = Study(
    name="ddpm-vae",
    title="DDPM as an autoregressive VAE",
    question="""Is the loss of DDPM a variational bound that many small Gaussian steps make tight? What do the choices
    that follow from it (alpha_t, T, sigma_t, the weights of the terms, the noise that is integrated out) change?""",
    claimed="""Su Jianlin, [archives/9152](https://kexue.fm/archives/9152) and [9119](https://kexue.fm/archives/9119)
    (2022): a VAE whose encoder and decoder are cut into T steps, each well modelled by a Gaussian; minimising the
    divergence of the joint laws gives one squared error a step. alpha_t = sqrt(1 - 0.02 t / T) with T = 1000, so that
    steps are small near the data and nothing of them is left at the end. Of the noises in x_t one can be integrated
    out, which lowers the variance of the loss; dropping the weights of its terms works better. sigma_t = beta_t is
    right for N(0, I), beta~_t for a single point, and both do about equally well. The loss should be summed over
    pixels, batch norm avoided, and a trained table of times does. Here t = 0 is the data and t = 1 the noise; the
    article's alpha-bar is alpha, its beta-bar sigma (see the page on notation).""",
    parts=(small_steps, noise_levels, reduction, objectives, lessons),
    beyond="""Not measured: the article's own pictures (CelebA-HQ at 128 × 128, three days on a GPU). The trainings here
    are of small networks on small pictures; they show which choice matters, not how good a large model gets.""",
)


def run(options: StudyOptions) -> Path:
    """Measure what is not there yet, write the page, and return its path."""
    return run_parts(STUDY, options)

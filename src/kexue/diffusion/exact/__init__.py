"""Data of which everything is known, and the exact law that a sampler gives them: truth to measure against.

data = MixtureData.three_modes()
sample(data.denoiser(schedule), schedule, noise, DDIM(), 20)    # errs by what the sampler errs, and nothing else
variances_of(DDIM(), schedule, times, variances)                # that error in closed form, for Gaussian data
"""

from __future__ import annotations

from kexue.diffusion.exact.data import GaussianData, MixtureData, at, f64
from kexue.diffusion.exact.laws import answer, marginal, variance_of, variances_of

__all__ = ["GaussianData", "MixtureData", "answer", "at", "f64", "marginal", "variance_of", "variances_of"]

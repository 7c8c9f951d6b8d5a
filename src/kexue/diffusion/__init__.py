"""Diffusion over one pair (alpha, sigma): x_t = alpha(t) x_0 + sigma(t) eps, t = 0 data, t = 1 noise.

Schedules say what alpha and sigma are, a denoiser says what x_0 and eps are given x_t, samplers walk from noise to
data; objectives train, `log_likelihood` and `variational_bound` measure.
"""

from __future__ import annotations

from kexue.diffusion.bits import (
    Bins,
)
from kexue.diffusion.bound import (
    variational_bound,
)
from kexue.diffusion.denoising import (
    ArticleDenoiser,
    Clip,
    DynamicClip,
    Guided,
    NetworkDenoiser,
    Thresholded,
)
from kexue.diffusion.editing import (
    Known,
    image_to_image,
    inpaint,
)
from kexue.diffusion.grids import (
    GRIDS,
    Given,
    Karras,
    Leading,
    Linspace,
    Trailing,
    UniformAngle,
    UniformLogSNR,
    UniformTime,
)
from kexue.diffusion.interpolation import (
    great_circle,
    spherical,
)
from kexue.diffusion.inversion import (
    encode,
    invert,
)
from kexue.diffusion.likelihood import (
    Likelihood,
    log_likelihood,
)
from kexue.diffusion.objectives import (
    ELBO,
    OBJECTIVES,
    LikelihoodWeighted,
    MinSNR,
    Simple,
    training_loss,
)
from kexue.diffusion.prediction import (
    EPS,
    PARAMETERIZATIONS,
    Denoiser,
    Parameterization,
    Prediction,
)
from kexue.diffusion.randomness import (
    seeded,
    standard_normal,
)
from kexue.diffusion.samplers import (
    DDIM,
    SAMPLERS,
    Adams,
    Adaptive,
    AnalyticDPM,
    Euler,
    EulerMaruyama,
    Heun,
    Multistep,
    PredictorCorrector,
    ReverseDiffusion,
    Sampler,
    SigmaHat,
    measure_uncertainty,
)
from kexue.diffusion.sampling import (
    Progress,
    sample,
    walk,
)
from kexue.diffusion.schedules import (
    EDM,
    SCHEDULES,
    VE,
    ArticleLimit,
    ArticleSchedule,
    Cosine,
    DiscreteBetas,
    LinearVP,
    ScaledLinearVP,
    Schedule,
    SubVP,
    ZeroTerminalSNR,
)
from kexue.diffusion.trace import (
    ExactTrace,
    Hutchinson,
    HutchPP,
)

__all__ = [
    "DDIM",
    "EDM",
    "ELBO",
    "EPS",
    "GRIDS",
    "OBJECTIVES",
    "PARAMETERIZATIONS",
    "SAMPLERS",
    "SCHEDULES",
    "VE",
    "Adams",
    "Adaptive",
    "AnalyticDPM",
    "ArticleDenoiser",
    "ArticleLimit",
    "ArticleSchedule",
    "Bins",
    "Clip",
    "Cosine",
    "Denoiser",
    "DiscreteBetas",
    "DynamicClip",
    "Euler",
    "EulerMaruyama",
    "ExactTrace",
    "Given",
    "Guided",
    "Heun",
    "HutchPP",
    "Hutchinson",
    "Karras",
    "Known",
    "Leading",
    "Likelihood",
    "LikelihoodWeighted",
    "LinearVP",
    "Linspace",
    "MinSNR",
    "Multistep",
    "NetworkDenoiser",
    "Parameterization",
    "Prediction",
    "PredictorCorrector",
    "Progress",
    "ReverseDiffusion",
    "Sampler",
    "ScaledLinearVP",
    "Schedule",
    "SigmaHat",
    "Simple",
    "SubVP",
    "Thresholded",
    "Trailing",
    "UniformAngle",
    "UniformLogSNR",
    "UniformTime",
    "ZeroTerminalSNR",
    "encode",
    "great_circle",
    "image_to_image",
    "inpaint",
    "invert",
    "log_likelihood",
    "measure_uncertainty",
    "sample",
    "seeded",
    "spherical",
    "standard_normal",
    "training_loss",
    "variational_bound",
    "walk",
]

"""Samplers, one family per file, all named in one table."""

from __future__ import annotations

from kexue.diffusion.samplers.adaptive import Adaptive
from kexue.diffusion.samplers.analytic import (
    AnalyticDPM,
    GaussianUncertainty,
    MeasuredUncertainty,
    Uncertainty,
    measure_uncertainty,
)
from kexue.diffusion.samplers.corrector import PredictorCorrector
from kexue.diffusion.samplers.ddim import DDIM, SigmaHat
from kexue.diffusion.samplers.multistep import Adams, Multistep
from kexue.diffusion.samplers.probability_flow import Euler, Heun
from kexue.diffusion.samplers.sampler import Row, Sampler, State, Step
from kexue.diffusion.samplers.sde import EulerMaruyama, ReverseDiffusion

SAMPLERS: dict[str, type[Sampler]] = {
    "ddim": DDIM,
    "sigma_hat": SigmaHat,
    "analytic_dpm": AnalyticDPM,
    "euler_maruyama": EulerMaruyama,
    "reverse_diffusion": ReverseDiffusion,
    "predictor_corrector": PredictorCorrector,
    "euler": Euler,
    "heun": Heun,
    "multistep": Multistep,
    "adams": Adams,
    "adaptive": Adaptive,
}

__all__ = [
    "DDIM",
    "SAMPLERS",
    "Adams",
    "Adaptive",
    "AnalyticDPM",
    "Euler",
    "EulerMaruyama",
    "GaussianUncertainty",
    "Heun",
    "MeasuredUncertainty",
    "Multistep",
    "PredictorCorrector",
    "ReverseDiffusion",
    "Row",
    "Sampler",
    "SigmaHat",
    "State",
    "Step",
    "Uncertainty",
    "measure_uncertainty",
]

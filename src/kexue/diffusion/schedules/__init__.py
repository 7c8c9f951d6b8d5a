"""Noise schedules, one family per file, all named in one table."""

from __future__ import annotations

from kexue.diffusion.schedules.article import ArticleLimit, ArticleSchedule
from kexue.diffusion.schedules.cosine import Cosine
from kexue.diffusion.schedules.edm import EDM
from kexue.diffusion.schedules.linear import LinearVP
from kexue.diffusion.schedules.scaled_linear import ScaledLinearVP
from kexue.diffusion.schedules.schedule import Posterior, Schedule
from kexue.diffusion.schedules.sub_vp import SubVP
from kexue.diffusion.schedules.tabulated import DiscreteBetas, cosine_betas, linear_betas, scaled_linear_betas
from kexue.diffusion.schedules.ve import VE
from kexue.diffusion.schedules.zero_terminal import ZeroTerminalSNR, zero_terminal_betas

SCHEDULES: dict[str, type[Schedule]] = {
    "linear_vp": LinearVP,
    "scaled_linear_vp": ScaledLinearVP,
    "cosine": Cosine,
    "article": ArticleSchedule,
    "article_limit": ArticleLimit,
    "discrete_betas": DiscreteBetas,
    "zero_terminal_snr": ZeroTerminalSNR,
    "sub_vp": SubVP,
    "ve": VE,
    "edm": EDM,
}

__all__ = [
    "EDM",
    "SCHEDULES",
    "VE",
    "ArticleLimit",
    "ArticleSchedule",
    "Cosine",
    "DiscreteBetas",
    "LinearVP",
    "Posterior",
    "ScaledLinearVP",
    "Schedule",
    "SubVP",
    "ZeroTerminalSNR",
    "cosine_betas",
    "linear_betas",
    "scaled_linear_betas",
    "zero_terminal_betas",
]

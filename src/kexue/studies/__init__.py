"""One study per article: its claim, what was measured, and a verdict, as a page with tables and pictures.

A study is a module with `run(options: StudyOptions) -> Path`, which writes a page and says where.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from kexue.errors import OptionError, unknown
from kexue.studies.options import StudyOptions
from kexue.studies.summary import fill_index

STUDIES = {
    "divergence": "Regularisers (archives/9039): does the divergence that fits the loss help, and softmax KL harm?",
    "distributions": "Discrete distributions as argmax of location plus noise (archives/9085): does the law matter?",
    "heads": "GPLinker, CasRel, TPLinker, heads for entities (archives/8888, 8373): which finds most, at what cost?",
    "gplinker": "GPLinker (archives/8888): its loss, its heads, its rule for triples; `heads` compares it with others",
    "ddpm-vae": "DDPM as an autoregressive VAE (archives/9152): is its loss a bound, and what do its choices change?",
    "ddpm-bayes": "DDPM as Bayes and denoising (archives/9164): which variance of the steps, which target?",
    "ddim": "DDIM (archives/9181): one network, any noise, any steps; what do less noise and fewer steps cost?",
    "sde": "Diffusion as an SDE (archives/9209): do all samplers of one pair (alpha, sigma) give one law?",
    "pretraining": "Pre-training a small encoder on the text at hand: what does it bring, on WebNLG, CoNLL04 and DuIE?",
    "gau-warmup": "Gated attention units with the norm after the sum (archives/8990): do deep stacks need warm-up?",
}

__all__ = ["STUDIES", "StudyOptions", "run_study"]


def run_study(name: str, options: StudyOptions) -> Path:
    """Run one study and return the page that it wrote; an index page beside it gets its verdicts.

    Raises `OptionError` for a name that is not in `STUDIES`.
    """
    if name not in STUDIES:
        raise OptionError(unknown("study", name, tuple(STUDIES)))
    page = cast(Path, import_module(f"kexue.studies.{name.replace('-', '_')}").run(options))
    fill_index(page.parent)
    return page

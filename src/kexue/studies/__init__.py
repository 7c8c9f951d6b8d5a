"""One study per article: its claim, what was measured, and a verdict, as a page with tables and pictures.

A study is a module with `run(options: StudyOptions) -> Path`, which writes a page and says where.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from kexue.errors import OptionError, unknown
from kexue.studies.options import StudyOptions

STUDIES = {
    "divergence": "Regularisers (archives/9039): does the divergence that fits the loss help, and softmax KL harm?",
    "distributions": "Discrete distributions as argmax of location plus noise (archives/9085): does the law matter?",
    "heads": "GPLinker, CasRel, TPLinker, heads for entities (archives/8888, 8373): which finds most, at what cost?",
    "gau-warmup": "Gated attention units with the norm after the sum (archives/8990): do deep stacks need warm-up?",
}

__all__ = ["STUDIES", "StudyOptions", "run_study"]


def run_study(name: str, options: StudyOptions) -> Path:
    """Run one study and return the page that it wrote.

    Raises `OptionError` for a name that is not in `STUDIES`.
    """
    if name not in STUDIES:
        raise OptionError(unknown("study", name, tuple(STUDIES)))
    return cast(Path, import_module(f"kexue.studies.{name.replace('-', '_')}").run(options))

"""The libraries of the extra `graph`, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from kexue.errors import OptionError


def need(library: str) -> Any:
    """The module of this name; raises `OptionError` with what to install where it is absent."""
    try:
        return importlib.import_module(library)
    except ImportError:
        raise OptionError(f"graphs need {library}: pip install 'kexue[graph]'") from None

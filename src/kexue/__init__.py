"""kexue: facts out of text and pictures out of noise, with models trained on your own data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kexue.version import __version__

if TYPE_CHECKING:
    from kexue.pipelines.extractor import Extractor as Extractor
    from kexue.pipelines.generator import Generator as Generator

__all__ = ["Extractor", "Generator", "__version__"]


def __getattr__(name: str) -> Any:
    """Load what is asked for, and only then what it needs."""
    if name == "Extractor":
        from kexue.pipelines.extractor import Extractor

        return Extractor
    if name == "Generator":
        from kexue.pipelines.generator import Generator

        return Generator
    raise AttributeError(f"module 'kexue' has no attribute {name!r}")

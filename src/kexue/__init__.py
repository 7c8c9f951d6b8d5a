"""kexue: train extractors on your own annotated text, and get facts out of text they have not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kexue.version import __version__

if TYPE_CHECKING:
    from kexue.pipelines.extractor import Extractor as Extractor

__all__ = ["Extractor", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Extractor":
        from kexue.pipelines.extractor import Extractor

        return Extractor
    raise AttributeError(f"module 'kexue' has no attribute {name!r}")

"""`kexue serve` with limits so small that requests which use them up take no time."""

from __future__ import annotations

from functools import partial

from kexue.cli.main import main
from kexue.server import settings

LIMITS = {"max_images": 16, "max_steps": 20, "max_texts": 8, "max_characters": 4000, "max_bytes": 2**16}

if __name__ == "__main__":
    settings.Settings = partial(settings.Settings, **LIMITS)  # type: ignore[misc, assignment]
    main()

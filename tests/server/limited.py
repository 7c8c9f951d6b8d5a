"""`kexue serve` with limits and patience so small that requests which use them up take little time."""

from __future__ import annotations

from functools import partial

from kexue.cli.main import main
from kexue.server import connections, protection, settings

LIMITS = {"max_images": 16, "max_steps": 20, "max_texts": 8, "max_characters": 4000, "max_bytes": 2**16}

if __name__ == "__main__":
    settings.Settings = partial(settings.Settings, **LIMITS)  # type: ignore[misc, assignment]
    connections.HEAD, connections.TAKEN, protection.SLOWEST = 3.0, 5.0, 6.0
    main()

"""Where a model comes from: the files it was made of with their digests, the software, the machine, the time.

A file is named without its folder, which says more of a person's machine than of the model.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

from kexue.data import LICENCES, packaged_files
from kexue.files import digest
from kexue.version import __version__

PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy", "diffusers")
MOST_FILES = 1000
"""Files of a folder that are listed one by one."""
LOOKED_AT = 2000
"""Texts of which the language is guessed."""
SCRIPTS = {
    "zh": re.compile("[\u4e00-\u9fff]"),
    "ja": re.compile("[\u3040-\u30ff]"),
    "ko": re.compile("[\uac00-\ud7af]"),
    "latin": re.compile("[a-zA-Z]"),
}
ENGLISH = frozenset(re.findall("[a-z]+", "the of and to in a is was with for that by an after were on"))
"""Words that are a quarter of English text, and few of any other."""
ENOUGH = 0.1
"""Share of the letters from which a script counts, and of the words that have to be `ENGLISH`."""


def describe_origin(
    sources: Mapping[str, Sequence[Path | str]], *, content: str, texts: Iterable[str] = (), device: str = "cpu"
) -> dict[str, Any]:
    """The provenance of a model that has just been made, as plain JSON values.

    Args:
        sources: the files, folders or names of other places that were read, by what they were read for.
        content: the digest of what was read from them.
        texts: of which the languages are guessed.
        device: on which the model was made.
    """
    return {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": [entry for role, places in sources.items() for place in places for entry in source_files(role, place)],
        "content": content,
        "languages": guess_languages(texts),
        "machine": describe_machine(device),
        "versions": {"python": platform.python_version(), "kexue": __version__} | _versions(),
    }


def source_files(role: str, place: Path | str) -> list[dict[str, Any]]:
    """Name, size and digest of a file, or of every file below a folder; of a place elsewhere its name alone.

    A folder with more than `MOST_FILES` files is one entry.
    """
    path = Path(place)
    if not path.exists():
        return [{"role": role, "name": str(place) if str(place).startswith("hub:") else path.name}]
    if path.is_file():
        return [{"role": role, "name": path.name, **_facts(path)}]
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    names = [f"{path.name}/{file.relative_to(path).as_posix()}" for file in files]
    entries = [{"role": role, "name": name, **_facts(file)} for name, file in zip(names, files, strict=True)]
    return entries if len(entries) <= MOST_FILES else [_together(role, path.name, entries)]


def _together(role: str, name: str, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Many files as one entry, whose digest is that of their list as `sha256sum` prints it."""
    listed = "".join(f"{entry['sha256']}  {entry['name']}\n" for entry in entries)
    return {
        "role": role,
        "name": f"{name}/ ({len(entries):,} files)",
        "bytes": sum(entry["bytes"] for entry in entries),
        "sha256": hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest(),
    }


def _facts(path: Path) -> dict[str, Any]:
    sha256 = digest(path)
    name = _packaged().get(sha256)
    known = {} if name is None else {"set": name, "licence": LICENCES[name]}
    return {"bytes": path.stat().st_size, "sha256": sha256, **known}


@cache
def _packaged() -> dict[str, str]:
    """The set inside the package that a file is of, by its digest, wherever it lies now."""
    return {digest(path): name for name, paths in packaged_files().items() for path in paths}


def guess_languages(texts: Iterable[str]) -> list[str]:
    """ISO codes of the languages that can be told by their script or, English, by its commonest words."""
    letters: Counter[str] = Counter()
    words: Counter[bool] = Counter()
    for text in islice(texts, LOOKED_AT):
        letters.update({name: len(pattern.findall(text)) for name, pattern in SCRIPTS.items()})
        words.update(word in ENGLISH for word in re.findall(r"[a-z]+", text.lower()))
    return sorted(_told(letters, words))


def _told(letters: Counter[str], words: Counter[bool]) -> Iterator[str]:
    counted = max(1, letters.total())
    for name in ("zh", "ja", "ko"):
        japanese = name == "zh" and letters["ja"] > ENOUGH * letters["zh"]  # it is written with Chinese characters too
        if letters[name] >= ENOUGH * counted and not japanese:
            yield name
    if letters["latin"] >= ENOUGH * counted and words[True] >= ENOUGH * words.total():
        yield "en"


def describe_machine(device: str = "cpu") -> str:
    """The processor, and the GPU if that is what was computed on."""
    import torch

    gpu = f"{torch.cuda.get_device_name()}, " if device.startswith("cuda") and torch.cuda.is_available() else ""
    threads = torch.get_num_threads()
    system = f"{platform.system()} {platform.machine()}"
    return f"{gpu}{processor()}, {threads} thread{'s' if threads > 1 else ''}, {system}"


def processor() -> str:
    """What the processor calls itself, with family and model where it knows them: a name alone may say little."""
    table = Path("/proc/cpuinfo")
    if not table.exists():
        return platform.processor() or platform.machine()
    first = table.read_text("utf-8").split("\n\n")[0]
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    name = fields.get("model name", platform.machine())
    return f"{name} (family {fields['cpu family']}, model {fields['model']})" if "cpu family" in fields else name


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

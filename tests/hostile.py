"""Damage by seed: bytes and JSON as no honest program writes them, the same for the same seed on every machine."""

from __future__ import annotations

import copy
import json
import pickle
import random
import struct
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from pathlib import Path
from typing import Any

from kexue.manifest import MANIFEST, digest

Place = tuple[Any, Any]
"""A container and the key or index of something in it."""

FRAGMENTS = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",  # half of a surrogate pair as some programs write it
    b"\xc0\x80",
    b"\xf4\x90\x80\x80",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\t",
    b" ",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b'"',
    b"\\",
    b"\\ud800",
    b"\\u0000",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"-1",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"[]",
    b"{}",
    b"null",
    b",",
    b":",
    b"]",
    b"}",
)


def wild(chance: random.Random) -> Any:
    """A JSON value that stands nowhere by right."""
    return copy.deepcopy(
        chance.choice(
            [
                None,
                True,
                False,
                0,
                -1,
                1,
                3,
                10**6,
                2**63,
                10**40,
                -(2**64),
                0.5,
                -0.0,
                1e308,
                float("nan"),
                float("inf"),
                "",
                " ",
                "nan",
                "\x00",
                "\n",
                "\ud800",
                "a\udc00b",
                "\u202e\u0301\ufeff",
                "😀",
                "../../../etc/passwd",
                "x" * 10_000,
                [],
                {},
                [[]],
                [None],
                [{}],
                {"": ""},
                {"a": [{}]},
                ["a", 1],
                [0, 1],
                [-5, -1],
                [1.5, "2"],
                deep(chance.choice([50, 400])),
            ]
        )
    )


def deep(levels: int) -> Any:
    """Lists within lists."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def places(value: Any) -> Iterator[Place]:
    """Everything inside a JSON value, from the outside in."""
    waiting = [value]
    while waiting:
        container = waiting.pop(0)
        keys: Any = ()
        if isinstance(container, MutableMapping):
            keys = list(container)
        elif isinstance(container, MutableSequence):
            keys = range(len(container))
        for key in keys:
            yield container, key
            waiting.append(container[key])


def damage_value(value: Any, chance: random.Random) -> Any:
    """A copy of a JSON value with one to three places changed."""
    value = copy.deepcopy(value)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        found = list(places(value))
        if not found:
            return wild(chance)
        container, key = chance.choice(found)
        chance.choice(CHANGES)(container, key, chance)
    return value


def damage_bytes(content: bytes, chance: random.Random) -> bytes:
    """A copy with one to four places changed, cut or repeated."""
    for _ in range(chance.choice([1, 1, 2, 4])):
        at = chance.randrange(len(content) + 1)
        before, piece, after = content[:at], *_split(content[at:], chance.choice([1, 1, 4, 30]))
        content = chance.choice(
            [
                before,
                before + after,
                before + piece * 2 + after,
                before + chance.choice(FRAGMENTS) + piece + after,
                before + chance.choice(FRAGMENTS) + after,
                before + chance.randbytes(len(piece)) + after,
                before + chance.randbytes(4) + piece + after,
            ]
        )
    return content


def _split(content: bytes, length: int) -> tuple[bytes, bytes]:
    return content[:length], content[length:]


def damage_json(value: Any, chance: random.Random) -> str:
    """A damaged value as JSON, sometimes with a key given twice."""
    text = json.dumps(damage_value(value, chance), ensure_ascii=chance.random() < 0.7)
    if chance.random() < 0.05 and text.startswith("{") and text != "{}":
        key = json.dumps(chance.choice(list(json.loads(text))))
        text = f"{text[:-1]}, {key}: {json.dumps(wild(chance))}}}"
    return text


def _replace(container: Any, key: Any, chance: random.Random) -> None:
    container[key] = wild(chance)


def _remove(container: Any, key: Any, chance: random.Random) -> None:
    del container[key]


def _rename(container: Any, key: Any, chance: random.Random) -> None:
    if isinstance(key, str):
        container[chance.choice([key[:-1], key + "s", key.upper(), "\ud800", ""])] = container.pop(key)


def _wrap(container: Any, key: Any, chance: random.Random) -> None:
    container[key] = chance.choice([[container[key]], {"a": container[key]}, str(container[key])])


def _move(container: Any, key: Any, chance: random.Random) -> None:
    if isinstance(container[key], int):
        container[key] += chance.choice([-100, -5, -1, 1, 2, 7, 10**9])


def _repeat(container: Any, key: Any, chance: random.Random) -> None:
    if isinstance(container, list):
        container.insert(key, copy.deepcopy(container[key]))


CHANGES = (_replace, _replace, _remove, _rename, _wrap, _move, _move, _repeat)


# --- folders of models ---


class Explosive:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple:
        return exec, (f"open({self.path!r}, 'w').close()",)


def sign(folder: Path) -> None:
    """Let the manifest say what the files are, so that damage is met behind it too."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text("utf-8"))
        manifest["files"] = {name: digest(folder / name) for name in manifest["files"] if (folder / name).is_file()}
    except (OSError, ValueError, KeyError, TypeError):
        return
    path.write_text(json.dumps(manifest), "utf-8")


def damage_safetensors(content: bytes, chance: random.Random) -> bytes:
    """Its header damaged as JSON, its numbers made NaN, or its bytes damaged."""
    (length,) = struct.unpack("<Q", content[:8])
    header, body = content[8 : 8 + length], content[8 + length :]
    kind = chance.choice(["header", "nan", "lengths", "bytes"])
    if kind == "header":
        changed = json.dumps(damage_value(json.loads(header), chance)).encode("utf-8", "surrogatepass")
        return struct.pack("<Q", len(changed)) + changed + body
    if kind == "nan":
        at = 4 * chance.randrange(len(body) // 4)
        return content[: 8 + length] + body[:at] + chance.choice([b"\0\0\xc0\x7f", b"\0\0\x80\xff"]) + body[at + 4 :]
    if kind == "lengths":
        return struct.pack("<Q", chance.choice([0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1])) + content[8:]
    return damage_bytes(content, chance)


def damage_folder(folder: Path, proof: Path, chance: random.Random) -> str:
    """Damage one file of a model's folder, or put something in its place; returns what was done.

    `proof` is written if anything unpickles what was put there.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    victim = chance.choice(files)
    kind = chance.choice(["value"] * 6 + ["bytes", "gone", "pickle", "link", "folder"])
    content = victim.read_bytes()
    if kind == "value" and victim.suffix == ".json":
        victim.write_text(json.dumps(damage_value(json.loads(content), chance)), "utf-8")
    elif kind == "value" and victim.suffix == ".safetensors":
        victim.write_bytes(damage_safetensors(content, chance))
    elif kind in ("value", "bytes"):
        victim.write_bytes(damage_bytes(content, chance))
    else:
        victim.unlink()
        put: dict[str, Callable[[], object]] = {
            "gone": lambda: None,
            "pickle": lambda: victim.write_bytes(pickle.dumps(Explosive(proof))),
            "link": lambda: victim.symlink_to(chance.choice(["/etc/passwd", "../outside", "nowhere", victim.name])),
            "folder": victim.mkdir,
        }
        put[kind]()
    if chance.random() < 0.2:
        (victim.parent / "pytorch_model.bin").write_bytes(pickle.dumps(Explosive(proof)))
    return f"{victim.relative_to(folder)}: {kind}"

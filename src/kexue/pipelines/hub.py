"""A model by the name a user gives it: a folder here, or a repository of the hub."""

from __future__ import annotations

from pathlib import Path

from kexue.errors import CheckpointError
from kexue.files import refuse_absent_folder

PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.onnx", "*.onnx.data"]
"""Files of models, none of which holds code."""


def local_folder(name_or_folder: str | Path) -> Path:
    """The folder itself, or a copy from the hub of what a model needs (no file that could run code)."""
    folder = Path(name_or_folder)
    if folder.is_dir() or not _looks_like_hub_id(str(name_or_folder)):
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(name_or_folder), allow_patterns=PATTERNS))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise CheckpointError(
            f"{name_or_folder}: is no folder here, and the hub gave no such model ({type(error).__name__})"
        ) from None


def refuse_absent_model(name_or_folder: str | Path) -> None:
    """Raise `CheckpointError` for a folder that is not there; what may be of the hub is left to `local_folder`."""
    if not _looks_like_hub_id(str(name_or_folder)):
        refuse_absent_folder(Path(name_or_folder))


def named_model(argument: str) -> tuple[str, str]:
    """The name and the folder (or hub id) of what a user writes as FOLDER or NAME=FOLDER."""
    name, equals, source = argument.partition("=")
    return (name, source) if equals else (Path(argument).name, argument)


def resolved(name_or_folder: str) -> str:
    """A folder by its full name, for processes that run elsewhere; a hub id as it is."""
    folder = Path(name_or_folder)
    return str(folder.resolve()) if folder.is_dir() else name_or_folder


def _looks_like_hub_id(name: str) -> bool:
    parts = name.split("/")
    return len(parts) == 2 and all(part and not part.startswith(".") for part in parts)

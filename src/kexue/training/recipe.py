"""A training as one file: every choice with a working default, misspelt keys refused with the right one.

A recipe is TOML (`kexue train recipe.toml`); the options of the command line override it. The resolved recipe is
stored with the model. Here is what trainings of either job share: how they optimise, where they write.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator

from kexue.errors import OptionError, unknown
from kexue.training.regularizers import RegularizerValues, beside, make_regularizers


class TrainingRecipe(BaseModel):
    """The choices that a training of either job has."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    nested: ClassVar[dict[str, type[BaseModel]]] = {}  # what stands in the tables of a recipe
    names_or_folders: ClassVar[tuple[str, ...]] = ()  # keys whose value may be a folder beside the file

    output: Path
    epochs: float = Field(20, gt=0)
    batch_size: int = Field(16, ge=1)
    gradient_accumulation: int = Field(1, ge=1)
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps")
    max_grad_norm: float = Field(1.0, gt=0)
    ema: float = Field(0.99, ge=0, lt=1, description="decay of the moving average of the weights; 0: none")
    regularizer: RegularizerValues | None = Field(
        None, description="rdrop, vat, fgm, pgd, distillation; by name, or a table of name and fields, or several"
    )
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    gradient_checkpointing: bool = False
    seed: int = Field(42, ge=0, lt=2**32)
    save_steps: int | None = Field(
        None, ge=1, description="steps between checkpoints to resume from; a tenth of all, 500 at most, where absent"
    )
    device: Literal["cpu", "cuda"] | None = Field(
        None, description="the best there is where absent; CUDA_VISIBLE_DEVICES chooses among several GPUs"
    )

    _source: str = PrivateAttr("recipe")

    @property
    def source(self) -> str:
        """Where the choices were made, for messages: the file, or "options"."""
        return self._source

    @field_validator("regularizer", mode="before")
    @classmethod
    def _known_regularizer(cls, values: Any) -> Any:
        try:
            make_regularizers(values)
        except OptionError as error:
            raise ValueError(str(error)) from None
        return values

    @classmethod
    def from_values(cls, values: dict[str, Any], *, source: str = "recipe") -> Self:
        """Check all values at once; raises `OptionError` that names the key, what was got and what is allowed."""
        try:
            recipe = cls(**values)
        except ValidationError as error:
            raise OptionError("; ".join(cls._explain(item, source) for item in error.errors())) from None
        recipe._source = source
        return recipe

    @classmethod
    def from_file(cls, path: str | Path, overrides: dict[str, Any] | None = None) -> Self:
        """A recipe from a TOML file, with some values replaced. Paths in the file are relative to the file."""
        path = Path(path)
        values = read_toml(path)
        for key, field in cls.model_fields.items():
            if field.annotation in (Path, Path | None) and isinstance(values.get(key), str):
                values[key] = path.parent / values[key]
        for key in cls.names_or_folders:
            if isinstance(values.get(key), str) and (path.parent / values[key]).is_dir():
                values[key] = str(path.parent / values[key])
        if "regularizer" in values:
            values["regularizer"] = beside(values["regularizer"], path.parent)
        return cls.from_values(values | (overrides or {}), source=str(path))

    @classmethod
    def _explain(cls, item: Any, source: str) -> str:
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            allowed = cls.nested.get(str(item["loc"][0]), cls).model_fields
            return f"{source}: {unknown('key', str(item['loc'][-1]), list(allowed))}"
        if item["type"] == "missing":
            return f"{source}: {key!r} is missing; it must be given"
        if not item["loc"]:
            return f"{source}: {item['ctx']['error']}"
        said = item["ctx"]["error"] if item["type"] == "value_error" else item["msg"]
        return f"{source}: {key} = {item['input']!r}: {said}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return self.model_dump(mode="json", exclude_none=True)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file; raises `OptionError` where it cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"{path}: is not TOML: {error}") from None


def parse_assignments(items: list[str]) -> dict[str, Any]:
    """`KEY=VALUE` strings as recipe values; a value is read as TOML, or taken as a string."""
    values: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals:
            raise OptionError(f"--set takes KEY=VALUE, got {item!r}")
        try:
            values[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[key.strip()] = text
    return values

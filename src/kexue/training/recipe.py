"""A training as one file: every choice with a working default, misspelt keys refused with the right one.

A recipe is TOML (`kexue train recipe.toml`); the options of the command line override it. The resolved recipe is
stored with the model.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kexue.errors import OptionError, unknown


class Constraint(BaseModel):
    """What the schema says of one relation type; what is left out is taken from the training data."""

    model_config = ConfigDict(extra="forbid")

    subject_types: list[str] | None = None
    object_types: list[str] | None = None
    functional: bool = False
    symmetric: bool = False
    inverse: str | None = None


class Recipe(BaseModel):
    """All choices of an extraction training."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    # data
    train: Path
    dev: Path | None = Field(None, description="where absent, a tenth of train is held out")
    output: Path
    format: str | None = Field(None, description="format of the files; detected where absent")
    constraints: dict[str, Constraint] = Field({}, description="by relation type")
    entity_types: list[str] | None = Field(None, description="refuse any other in the data; [] : ignore the types")
    relation_types: list[str] | None = Field(None, description="refuse any other in the data")
    typed_ends: bool = Field(True, description="allow a relation only between entity types seen in train")

    # model
    encoder: str = Field("minilm", description="hub id, folder, minilm (English, 22M), or gau-tiny, ... from scratch")
    head: Literal["gplinker"] = "gplinker"
    head_dim: int = Field(64, ge=2, multiple_of=2)
    efficient: bool = Field(True, description="efficient GlobalPointer; false: the standard one")
    link_rotary: bool = Field(False, description="rotary positions in the link scores too")
    hidden_dropout: float = Field(0.1, ge=0, lt=1, description="dropout between encoder and head")
    window: int = Field(254, ge=8, description="tokens of text that are encoded together")
    overlap: int = Field(64, ge=0, description="tokens that neighbouring windows share")

    # optimisation
    epochs: float = Field(20, gt=0)
    batch_size: int = Field(16, ge=1)
    gradient_accumulation: int = Field(1, ge=1)
    encoder_lr: float | None = Field(None, gt=0, description="1e-3 from scratch; 3e-4 (384 / width)^2 else")
    head_lr: float = Field(3e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps")
    max_grad_norm: float = Field(1.0, gt=0)
    ema: float = Field(0.99, ge=0, lt=1, description="decay of the moving average of the weights; 0: none")
    patience: int = Field(5, ge=1, description="dev evaluations without a better F1 before training stops")
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    gradient_checkpointing: bool = False
    seed: int = Field(42, ge=0, lt=2**32)
    save_steps: int = Field(500, ge=1, description="steps between checkpoints to resume from")
    device: Literal["cpu", "cuda"] | None = Field(
        None, description="the best there is where absent; CUDA_VISIBLE_DEVICES chooses among several GPUs"
    )

    @model_validator(mode="after")
    def _overlap_fits(self) -> Recipe:
        if self.overlap >= self.window:
            raise ValueError(f"overlap {self.overlap} must be smaller than window {self.window}")
        return self

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return self.model_dump(mode="json", exclude_none=True)


def make_recipe(values: dict[str, Any], *, source: str = "recipe") -> Recipe:
    """Check all values at once; raises `OptionError` that names the key, what was got and what is allowed."""
    try:
        return Recipe(**values)
    except ValidationError as error:
        raise OptionError("; ".join(_explain(item, source) for item in error.errors())) from None


def read_recipe(path: str | Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """A recipe from a TOML file, with some values replaced. Paths in the file are relative to the file."""
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"{path}: is not TOML: {error}") from None
    for key in ("train", "dev", "output"):
        if isinstance(values.get(key), str):
            values[key] = path.parent / values[key]
    if isinstance(values.get("encoder"), str) and (path.parent / values["encoder"]).is_dir():
        values["encoder"] = str(path.parent / values["encoder"])
    return make_recipe(values | (overrides or {}), source=str(path))


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


def _explain(item: Any, source: str) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        allowed = Constraint.model_fields if item["loc"][0] == "constraints" else Recipe.model_fields
        return f"{source}: {unknown('key', str(item['loc'][-1]), list(allowed))}"
    if item["type"] == "missing":
        return f"{source}: {key!r} is missing; it must be given"
    if not item["loc"]:
        return f"{source}: {item['ctx']['error']}"
    return f"{source}: {key} = {item['input']!r}: {item['msg']}"

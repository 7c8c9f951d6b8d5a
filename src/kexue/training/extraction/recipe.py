"""An extraction training as one file: data, model and optimisation, every choice with a working default."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kexue.errors import unknown
from kexue.extraction.heads import HEADS
from kexue.training.recipe import TrainingRecipe


class Constraint(BaseModel):
    """What the schema says of one relation type; what is left out is taken from the training data."""

    model_config = ConfigDict(extra="forbid")

    subject_types: list[str] | None = None
    object_types: list[str] | None = None
    functional: bool = False
    symmetric: bool = False
    inverse: str | None = None


class ExtractionRecipe(TrainingRecipe):
    """All choices of an extraction training."""

    nested: ClassVar[dict[str, type[BaseModel]]] = {"constraints": Constraint}
    names_or_folders: ClassVar[tuple[str, ...]] = ("encoder",)

    job: Literal["extraction"] = "extraction"

    # data
    train: Path
    dev: Path | None = Field(None, description="where absent, a tenth of train is held out")
    format: str | None = Field(None, description="format of the files; detected where absent")
    constraints: dict[str, Constraint] = Field({}, description="by relation type")
    entity_types: list[str] | None = Field(None, description="refuse any other in the data; [] : ignore the types")
    relation_types: list[str] | None = Field(None, description="refuse any other in the data")
    typed_ends: bool = Field(True, description="allow a relation only between entity types seen in train")

    # model
    encoder: str = Field("minilm", description="hub id, folder, minilm (English, 22M), or gau-tiny, ... from scratch")
    head: str = Field("gplinker", description=f"one of {', '.join(HEADS)}")
    head_dim: int = Field(64, ge=2, multiple_of=2)
    efficient: bool = Field(True, description="efficient GlobalPointer; false: the standard one")
    span_rotary: bool = Field(True, description="rotary positions in the span scores")
    link_rotary: bool = Field(True, description="rotary positions in the link scores too")
    casrel: Literal["all", "su2020", "wei2020"] = Field("all", description="the form of CasRel")
    hidden_dropout: float = Field(0.1, ge=0, lt=1, description="dropout between encoder and head")
    window: int = Field(254, ge=8, description="tokens of text that are encoded together")
    overlap: int = Field(64, ge=0, description="tokens that neighbouring windows share")
    packing: float = Field(
        0.5, ge=0, le=1, description="share of the texts below a window that are joined up to one, others each epoch"
    )

    # optimisation
    encoder_lr: float | None = Field(None, gt=0, description="1e-3 from scratch; 3e-4 (384 / width)^2 else")
    head_lr: float = Field(3e-3, gt=0)
    patience: int = Field(5, ge=1, description="dev evaluations without a better F1 before training stops")

    @field_validator("head")
    @classmethod
    def _known_head(cls, name: str) -> str:
        if name not in HEADS:
            raise ValueError(unknown("head", name, tuple(HEADS)))
        return name

    @model_validator(mode="after")
    def _overlap_fits(self) -> ExtractionRecipe:
        if self.overlap >= self.window:
            raise ValueError(f"overlap {self.overlap} must be smaller than window {self.window}")
        return self

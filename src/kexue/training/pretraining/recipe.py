"""A pre-training as one file: text, words, model and optimisation, every choice with a working default."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kexue.training.recipe import TrainingRecipe, read_toml

EPOCHS = 10.0
"""Where neither epochs nor minutes are given."""


class PretrainingRecipe(TrainingRecipe):
    """All choices of a pre-training."""

    names_or_folders: ClassVar[tuple[str, ...]] = ("encoder", "vocabulary")

    job: Literal["pretraining"] = "pretraining"

    # data
    texts: list[Path] = Field(min_length=1, description="files or folders: plain text, JSON Lines, annotated text")
    dev: Path | None = Field(None, description="text to measure on; where absent a part of the documents is held out")
    format: str | None = Field(None, description="text, jsonl or an annotated format; detected file by file if absent")
    key: str = Field("text", description="of the text in JSON Lines")
    cache: Path | None = Field(None, description="folder for the tokenised text, kept; removed at the end where absent")

    # model
    encoder: str = Field("gau-small", description="gau-tiny, ... from scratch; a hub id or folder goes on from there")
    vocabulary: str | None = Field(None, description="folder or hub id of a tokenizer for an encoder from scratch")
    vocab_size: int = Field(12000, ge=16, description="of the vocabulary that is learnt where none is given")
    dropout: float | None = Field(None, ge=0, lt=1, description="while pre-training; the encoder's own where absent")

    # what is hidden, and how long texts are
    mask_rate: float = Field(0.15, gt=0, lt=1, description="share of the words that are to be predicted")
    segmenter: Literal["jieba", "ngrams"] | None = Field(
        None, description="Chinese words; where absent jieba's if the extra is installed, else random spans"
    )
    max_length: int = Field(512, ge=16, multiple_of=8, description="tokens of the longest texts")
    min_length: int = Field(
        64, ge=8, description="texts have max_length tokens, or a half, a quarter, ... down to this"
    )

    # optimisation
    epochs: float | None = Field(None, gt=0, description=f"{EPOCHS:g} where neither it nor minutes is given")
    minutes: float | None = Field(None, gt=0, description="train for so long instead: the steps that fit are measured")
    batch_size: int = Field(16, ge=1, description="in a step, times max_length tokens")
    learning_rate: float | None = Field(None, gt=0, description="1e-3 from scratch; 3e-4 (384 / width)^2 else")
    warmup: float | None = Field(None, ge=0, lt=1, description="share of the steps; where absent 0 for GAU, else 0.06")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the moving average of the weights; 0: none")
    eval_steps: int = Field(1000, ge=1, description="steps between measures on dev, which end an epoch too")

    @model_validator(mode="after")
    def _one_end(self) -> PretrainingRecipe:
        if self.epochs is not None and self.minutes is not None:
            raise ValueError("give epochs or minutes, not both")
        return self

    @model_validator(mode="after")
    def _no_regularizer(self) -> PretrainingRecipe:
        if self.regularizer is not None:
            raise ValueError("a pre-training takes no regularizer; the training that its encoder is for does")
        return self

    @model_validator(mode="after")
    def _lengths_fit(self) -> PretrainingRecipe:
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} must not be larger than max_length {self.max_length}")
        return self

    @classmethod
    def from_file(cls, path: str | Path, overrides: dict[str, Any] | None = None) -> Self:
        """A recipe from a TOML file, with some values replaced. Paths in the file are relative to the file."""
        path = Path(path)
        texts = read_toml(path).get("texts")
        beside = {"texts": [path.parent / text for text in texts]} if isinstance(texts, list) else {}
        return super().from_file(path, beside | (overrides or {}))

"""A generation training as one file: images, network, noise and optimisation, every choice with a working default."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from kexue.diffusion.configuration import Part, part_from_json
from kexue.diffusion.objectives import OBJECTIVES, Objective, Simple
from kexue.diffusion.prediction import PARAMETERIZATIONS, Parameterization
from kexue.diffusion.samplers import SAMPLERS, Sampler
from kexue.diffusion.schedules import SCHEDULES, Schedule
from kexue.errors import OptionError
from kexue.training.recipe import TrainingRecipe, read_toml

PartOrName = str | dict[str, Any]
TABLES: dict[str, dict[str, Any]] = {
    "schedule": SCHEDULES,
    "parameterization": PARAMETERIZATIONS,
    "objective": OBJECTIVES,
    "sampler": SAMPLERS,
}


class GenerationRecipe(TrainingRecipe):
    """All choices of a generation training. A part is its name, or a table of its name and its fields."""

    sources: ClassVar[tuple[str, ...]] = ("train", "dev")

    job: Literal["generation"] = "generation"

    # data
    train: str = Field(description="a folder, .npz, .npy, .parquet, hub:OWNER/NAME, or digits, tiles: in the package")
    dev: str | None = Field(None, description="where absent, a tenth of train is held out, but not over 1,000 images")
    size: int | tuple[int, int] | None = Field(None, description="of the images; the one that all share where absent")
    mode: Literal["RGB", "L", "RGBA"] | None = Field(
        None, description="where absent L if all images are grey, else RGB"
    )
    background: str = Field("white", description="what shows through transparent places")
    label_column: str | None = Field(None, description="of a table; found by its name where absent")
    conditional: bool = Field(False, description="learn the classes that the images have")
    label_dropout: float = Field(0.1, ge=0, le=1, description="share of images shown without their class, for guidance")
    flip: bool = Field(False, description="mirror half of the images")

    # model
    network: Literal["unet", "gau"] = "unet"
    preset: Literal["tiny", "small", "medium", "base"] = "small"
    dropout: float = Field(0.0, ge=0, lt=1)
    schedule: PartOrName = "linear_vp"
    parameterization: PartOrName = Field("v", description="what the network says; v is good at few steps, eps is not")
    objective: PartOrName | None = Field(None, description="where absent the mean square error of what it says")

    # optimisation
    epochs: float = Field(100, gt=0)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(5e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the moving average of the weights; 0: none")
    compile: bool = Field(False, description="of the network: a minute at the start, on a GPU faster steps after it")

    # pictures while it trains
    num_samples: int = Field(36, ge=0, description="images in a grid; 0: none")
    num_grids: int = Field(10, ge=1, description="grids in all")
    sampler: PartOrName = "ddim"
    num_steps: int = Field(25, ge=1, description="steps of the sampler")

    @field_validator(*TABLES)
    @classmethod
    def _known_part(cls, value: PartOrName | None, info: Any) -> PartOrName | None:
        if value is None:
            return None
        try:
            _part(value, info.field_name, TABLES[info.field_name])
        except OptionError as error:
            raise ValueError(str(error)) from None
        return value

    @classmethod
    def from_file(cls, path: str | Path, overrides: dict[str, Any] | None = None) -> Self:
        """A recipe from a TOML file, with some values replaced. Sources that lie beside the file are meant so."""
        path = Path(path)
        values = read_toml(path)
        named = {key: path.parent / values[key] for key in cls.sources if isinstance(values.get(key), str)}
        beside = {key: str(source) for key, source in named.items() if source.exists()}
        return super().from_file(path, beside | (overrides or {}))

    def make_schedule(self) -> Schedule:
        """The schedule that is named."""
        return _part(self.schedule, "schedule", SCHEDULES)

    def make_parameterization(self) -> Parameterization:
        """The parameterization that is named."""
        return _part(self.parameterization, "parameterization", PARAMETERIZATIONS)

    def make_objective(self) -> Objective:
        """The objective that is named, or the plain one for what the network says."""
        if self.objective is None:
            return Simple(self.make_parameterization())
        return _part(self.objective, "objective", OBJECTIVES)

    def make_sampler(self) -> Sampler:
        """The sampler that is named."""
        return _part(self.sampler, "sampler", SAMPLERS)


def _part(value: PartOrName, kind: str, table: dict[str, type[Part]]) -> Part:
    return part_from_json({"name": value} if isinstance(value, str) else value, kind, table)

"""A part without weights as JSON: its name in the table of its kind, and its fields.

LinearVP(0.1, 20.0)  <->  {"name": "linear_vp", "beta_min": 0.1, "beta_max": 20.0}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from kexue.diffusion.grids import GRIDS
from kexue.diffusion.objectives import OBJECTIVES
from kexue.diffusion.prediction import PARAMETERIZATIONS
from kexue.diffusion.samplers import SAMPLERS, GaussianUncertainty, MeasuredUncertainty
from kexue.diffusion.schedules import SCHEDULES
from kexue.errors import OptionError, unknown

Part = TypeVar("Part")
MOST = 1_000_000  # of the whole numbers that a part has: steps of a chain
UNCERTAINTIES: dict[str, type] = {
    "gaussian_uncertainty": GaussianUncertainty,
    "measured_uncertainty": MeasuredUncertainty,
}
TABLES: tuple[Mapping[str, type], ...] = (SCHEDULES, PARAMETERIZATIONS, OBJECTIVES, SAMPLERS, GRIDS, UNCERTAINTIES)
NAMES: dict[type, str] = {part: name for table in TABLES for name, part in table.items()}
"""The name of every part; a part inside a part, as the schedule that another one stretches, is named too."""


def part_to_json(part: Any) -> dict[str, Any]:
    """The name and the fields of a schedule, sampler or parameterization of one of the tables."""
    return {"name": NAMES[type(part)]} | {field.name: _plain(getattr(part, field.name)) for field in fields(part)}


def part_from_json(values: Mapping[str, Any], kind: str, table: Mapping[str, type[Part]]) -> Part:
    """The part that `part_to_json` described.

    Raises `OptionError` for a name that the table does not have and for fields or values that the part refuses.
    """
    if not isinstance(values, Mapping):
        raise OptionError(f"{kind}: a name and its fields are needed, got {values!r}")
    given = dict(values)
    name = given.pop("name", None)
    if not isinstance(name, str) or name not in table:
        raise OptionError(unknown(kind, str(name), list(table)))
    allowed = [field.name for field in fields(table[name])]  # type: ignore[arg-type]
    for key in given:
        if key not in allowed:
            raise OptionError(f"{kind} {name!r}: {unknown('field', key, allowed)}")
    try:
        return table[name](**{key: _part_or_value(value, kind) for key, value in given.items()})
    except (TypeError, ValueError, RuntimeError) as error:  # the last two are torch's, for what is no number
        raise OptionError(f"{kind} {name!r}: {error}") from None


def _plain(value: Any) -> Any:
    if type(value) in NAMES:
        return part_to_json(value)
    return list(value) if isinstance(value, tuple) else value


def _part_or_value(value: Any, kind: str) -> Any:
    if isinstance(value, Mapping):
        return part_from_json(value, kind, {name: part for part, name in NAMES.items()})
    if isinstance(value, int) and abs(value) > MOST:
        raise OptionError(f"{kind}: {value!r} is larger than any number that belongs there")
    return tuple(value) if isinstance(value, list) else value

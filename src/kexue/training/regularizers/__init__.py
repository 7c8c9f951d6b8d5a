"""What may be added to the loss of any training. `REGULARIZERS` is the one table of their names.

regularizer = "rdrop"                                    a name, with the defaults
[regularizer] name = "rdrop"  alpha = 2.0                a table of the name and its fields
[[regularizer]] name = "rdrop"  [[regularizer]] name = "fgm"      several, whose penalties add up
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kexue.errors import OptionError, unknown
from kexue.training.regularizers.distillation import Distillation
from kexue.training.regularizers.fgm import FGM
from kexue.training.regularizers.pgd import PGD
from kexue.training.regularizers.rdrop import RDrop
from kexue.training.regularizers.regularizer import Inputs, Job, Regularizer, Said, Step, regularized_loss
from kexue.training.regularizers.vat import VAT

__all__ = [
    "REGULARIZERS",
    "Inputs",
    "Job",
    "Regularizer",
    "RegularizerValues",
    "Said",
    "Step",
    "beside",
    "make_regularizers",
    "regularized_loss",
]

REGULARIZERS: dict[str, type[Regularizer]] = {
    "rdrop": RDrop,
    "vat": VAT,
    "fgm": FGM,
    "pgd": PGD,
    "distillation": Distillation,
}
RegularizerValues = str | dict[str, Any] | list[str | dict[str, Any]]
"""One by its name or by a table of its name and its fields, or a list of such."""


def make_regularizers(values: RegularizerValues | None) -> tuple[Regularizer, ...]:
    """Those that a recipe asks for; raises `OptionError` for a name, a field or a value that none of them has."""
    listed: Sequence[str | dict[str, Any]] = values if isinstance(values, list) else [] if values is None else [values]
    return tuple(_make({"name": one} if isinstance(one, str) else one) for one in listed)


def beside(values: RegularizerValues, folder: Path) -> RegularizerValues:
    """The same, where a teacher that lies in the folder is meant so."""
    if isinstance(values, list):
        return [beside(one, folder) for one in values]  # type: ignore[misc]
    if isinstance(values, dict) and isinstance(name := values.get("teacher"), str) and (folder / name).is_dir():
        return values | {"teacher": str(folder / name)}
    return values


def _make(values: Any) -> Regularizer:
    if not isinstance(values, Mapping):
        raise OptionError(f"a regularizer is a name, or a table of a name and its fields; got {values!r}")
    given = dict(values)
    name = str(given.pop("name", ""))
    if name not in REGULARIZERS:
        raise OptionError(unknown("regularizer", name, list(REGULARIZERS)))
    allowed = [field.name for field in fields(REGULARIZERS[name])]  # type: ignore[arg-type]
    for key in given:
        if key not in allowed:
            raise OptionError(f"regularizer {name!r}: {unknown('key', key, allowed)}")
    try:
        return REGULARIZERS[name](**given)
    except ValidationError as error:
        raise OptionError(f"regularizer {name!r}: {'; '.join(_explain(item) for item in error.errors())}") from None


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] in ("missing", "missing_argument"):
        return f"{key!r} is missing; it must be given"
    return f"{key} = {item['input']!r}: {item['msg']}"

"""The maps for three classes, drawn over the plane of locations.

Of three locations only the differences count, so a map is a picture over the plane loc_1 + loc_2 + loc_3 = 0, in
which the classes pull in three directions. Each class has a colour, and a point has the mixture that p says. White
lines: a probability is 0.5, 0.75, 0.95. Beyond a black line a probability is exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from kexue.studies.distributions.contenders import Contender

DIRECTIONS = torch.tensor([[0.0, 1.0], [-math.sqrt(3) / 2, -0.5], [math.sqrt(3) / 2, -0.5]], dtype=torch.float64)
"""Where each class pulls: unit vectors 120 degrees apart."""
COLOURS = torch.tensor([[0.93, 0.55, 0.16], [0.07, 0.55, 0.50], [0.33, 0.27, 0.63]], dtype=torch.float64)
"""Orange, teal, indigo."""


def locations(radius: float, size: int) -> Tensor:
    """A square grid of the plane as locations, float64[size, size, 3]; the first rows are the lowest."""
    axis = torch.linspace(-radius, radius, size, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    return points @ DIRECTIONS.T


def draw_maps(contenders: Sequence[Contender], path: Path, size: int, radius: float = 3.6) -> None:
    """One picture with a panel for each map, `size` points wide."""
    from matplotlib.figure import Figure

    columns = 4
    rows = math.ceil(len(contenders) / columns)
    figure = Figure(figsize=(2.4 * columns, 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    loc = locations(radius, size)
    for panel, contender in zip(panels, contenders, strict=False):
        _draw_map(panel, contender.probs(loc), radius)
        panel.set_title(contender.name, fontsize=10)
    for panel in panels:
        panel.axis("off")
    figure.savefig(path, dpi=80)


def _draw_map(panel, probs: Tensor, radius: float) -> None:  # type: ignore[no-untyped-def]  # matplotlib's Axes
    extent = (-radius, radius, -radius, radius)
    panel.imshow((probs @ COLOURS).clamp(0, 1).numpy(), origin="lower", extent=extent, interpolation="bilinear")
    for one in probs.unbind(-1):
        panel.contour(one.numpy(), [0.5, 0.75, 0.95], extent=extent, colors="white", linewidths=0.8)
        absent = (one == 0).double()
        if 0 < absent.mean() < 1:
            panel.contour(absent.numpy(), [0.5], extent=extent, colors="black", linewidths=1.0)


def draw_focus(focus: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """How much of the attention falls on the right item, by the number of items."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    panel = figure.subplots()
    for number, (name, points) in enumerate(focus.items()):
        panel.plot(list(points), list(points.values()), ("-", "--")[number // 10 % 2], marker=".", label=name)
    panel.set_xscale("log", base=2)
    panel.set(xlabel="items", ylabel="weight on the right item", ylim=(0, 1.02))
    panel.legend(fontsize=8, ncols=2)
    panel.grid(alpha=0.3)
    figure.savefig(path, dpi=80)

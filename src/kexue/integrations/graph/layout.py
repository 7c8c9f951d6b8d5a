"""Where things stand in the picture of a neighbourhood: columns, so that every name and every predicate can be read.

The entity is in the middle. What it is the subject of stands to the right, what it is the object of to the left, what
is one step farther one column farther out. Each fact has a row of its own in front of its outer entity, in which its
predicate is written, so that no two labels can meet.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from kexue.integrations.graph.neighbourhood import Edge, Neighbourhood, Node

EM, SMALL = 14.0, 11.5  # pixels: the sizes of names and of predicates
LONGEST = 22.0  # em of a name or a predicate that are shown
ROW, BOX, GAP = 32.0, 26.0, 8.0  # pixels: from a fact to the next, the height of a box, between the rows of two boxes
FAN, PADDING = 70.0, 24.0  # pixels: width in which lines fan out; what a box or a label has beside its words
_WIDTHS = {"iljtfrI.,:;'|!()[] -": 0.34, "mwMW@%": 0.9}


@dataclass(frozen=True, slots=True)
class Box:
    """An entity: the middle of its box, its width and height, and its name as far as it is shown."""

    node: Node
    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A fact: level from the inner box at x0 to bend, curved to x1, and level to the outer box at x2, with its name.

    It leaves at the height y0 and arrives at y1; `outward` says that its object is the outer end. `note` is its score
    and, from two on, the number of its statements.
    """

    edge: Edge
    x0: float
    bend: float
    x1: float
    x2: float
    y0: float
    y1: float
    outward: bool
    label: str
    note: str


@dataclass(frozen=True)
class Layout:
    """Boxes and lines around the entity in the middle, which is the first box and stands at (0, 0).

    `undrawn` counts the facts whose entities do not stand in columns side by side.
    """

    boxes: list[Box]
    lines: list[Line]
    undrawn: int

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of all boxes."""
        sides = [
            (it.x - it.width / 2, it.y - it.height / 2, it.x + it.width / 2, it.y + it.height / 2) for it in self.boxes
        ]
        left, top, right, bottom = zip(*sides, strict=True)
        return min(left), min(top), max(right), max(bottom)


def lay_out(around: Neighbourhood) -> Layout:
    """Columns by steps from the center, rows by predicate."""
    columns = _columns(around)
    center = _box(around.center, 0.0, 0.0, BOX)
    boxes, lines, last = {center.node.key: center}, [], max(map(abs, columns.values()))
    drawn: list[Edge] = []
    for side in (1, -1):
        inner = [center]
        for step in range(1, last + 1):
            here = [edge for edge in around.edges if _outer(edge, columns) == (side * step)]
            placed, named = _column(here, columns, inner, boxes, side)
            lines += named
            drawn += here
            boxes |= {box.node.key: box for box in placed}
            inner = placed
            if not placed:
                break
    return Layout(list(boxes.values()), lines, len(around.edges) - len(drawn))


def _columns(around: Neighbourhood) -> dict[str, int]:
    """The column of each entity: to the right of the center if it is an object of it, to the left if a subject."""
    columns = {around.center.key: 0}
    waiting = list(around.edges)
    while waiting:
        fresh: dict[str, int] = {}
        for edge in waiting:
            for here, there, direction in ((edge.subject, edge.object, 1), (edge.object, edge.subject, -1)):
                if here.key in columns and there.key not in columns:
                    column = columns[here.key]
                    fresh.setdefault(there.key, column + (direction if column == 0 else 1 if column > 0 else -1))
        if not fresh:
            break
        columns |= fresh
    return columns


def _outer(edge: Edge, columns: dict[str, int]) -> int | None:
    """The column of the outer end of a fact between neighbouring columns; None for one that is not drawn."""
    ends = columns[edge.subject.key], columns[edge.object.key]
    return max(ends, key=abs) if abs(ends[0] - ends[1]) == 1 else None


def _column(
    edges: Sequence[Edge], columns: dict[str, int], inner: Sequence[Box], boxes: dict[str, Box], side: int
) -> tuple[list[Box], list[Line]]:
    """The boxes of one column beside the column `inner`, and the lines to them."""
    if not edges:
        return [], []
    rows: dict[str, list[tuple[Edge, bool]]] = {}
    for edge in sorted(edges, key=lambda it: (_inner_end(it, columns, boxes).y, it.predicate, -it.statements)):
        outward = abs(columns[edge.object.key]) > abs(columns[edge.subject.key])
        rows.setdefault((edge.object if outward else edge.subject).key, []).append((edge, outward))
    border = max(side * box.x + box.width / 2 for box in inner)
    label = max(text_width(_cut(it.predicate), SMALL) + text_width(_note(it), SMALL) for it in edges) + 2 * PADDING
    start = border + FAN + label
    top = -(sum(map(len, rows.values())) * ROW + (len(rows) - 1) * GAP) / 2
    placed, lines = [], []
    for its in rows.values():
        node = its[0][0].object if its[0][1] else its[0][0].subject
        height = len(its) * ROW
        width = _box(node, 0, 0, 0).width
        box = _box(node, side * (start + width / 2), top + height / 2, height - ROW + BOX)
        placed.append(box)
        for number, (edge, outward) in enumerate(its):
            near = _inner_end(edge, columns, boxes)
            both = {way for others in rows.values() for it, way in others if _inner_end(it, columns, boxes) is near}
            shift = 0.0 if len(both) == 1 else -5.0 if outward else 5.0
            lines.append(
                Line(
                    edge,
                    x0=near.x + side * near.width / 2,
                    bend=side * border,
                    x1=side * (border + FAN),
                    x2=side * start,
                    y0=near.y + shift,
                    y1=top + (number + 0.5) * ROW,
                    outward=outward,
                    label=_cut(edge.predicate),
                    note=_note(edge),
                )
            )
        top += height + GAP
    return placed, lines


def _inner_end(edge: Edge, columns: dict[str, int], boxes: dict[str, Box]) -> Box:
    return boxes[min((edge.subject.key, edge.object.key), key=lambda key: abs(columns[key]))]


def _box(node: Node, x: float, y: float, height: float) -> Box:
    label = _cut(node.name)
    return Box(node, x, y, text_width(label, EM) + PADDING, height, label)


def _note(edge: Edge) -> str:
    """The score of a fact and how often it is stated, where there is something to say."""
    score = "" if edge.score is None else f"{edge.score:.2f}"
    return f"{score} ×{edge.statements}".strip() if edge.statements > 1 else score


def text_width(text: str, size: float) -> float:
    """About how wide a text is drawn, in pixels; rather too wide, since the reader's font is not known."""
    return size * sum(map(_advance, text))


def _advance(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    return next(
        (width for group, width in _WIDTHS.items() if character in group), 0.72 if character.isupper() else 0.58
    )


def _cut(text: str) -> str:
    """One line of at most `LONGEST` em; what is cut off is a mark of omission."""
    line, used = " ".join(text.split()), 0.0
    for place, character in enumerate(line):
        used += _advance(character)
        if used > LONGEST:
            return line[:place].rstrip() + "…"
    return line

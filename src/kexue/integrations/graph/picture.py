"""The picture of a neighbourhood: an SVG that needs nothing from elsewhere, or a PNG of it.

Names are text, which the reader's own fonts show; each box and line says in full, when pointed at, what it stands for.
"""

from __future__ import annotations

import io
import unicodedata
from html import escape
from pathlib import Path

from kexue.errors import OptionError
from kexue.files import atomic_write
from kexue.integrations.graph.extra import need
from kexue.integrations.graph.graphml import printable
from kexue.integrations.graph.layout import EM, SMALL, Box, Layout, Line, lay_out, text_width
from kexue.integrations.graph.neighbourhood import Neighbourhood

PAPER, INK, FAINT, RULE = "#fdfdfc", "#1c1e21", "#5c6068", "#a9adb4"  # those of the pages that kexue writes
COLORS = ("#0b5cad", "#b3400e", "#1b7a3d", "#7a3fa0", "#a3116b", "#0a7380", "#7a5c00", "#4a5568")
FONTS = "system-ui, 'Noto Sans', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif"
MARGIN, HEAD, FOOT = 28.0, 66.0, 44.0  # pixels around, above and below
CELL = 48  # pixels of the square in which a character is tried
_NOWHERE = "\U0010fffd"  # for private use: in no font
SCALE = 2  # pixels of a PNG for one of the SVG


def write_picture(around: Neighbourhood, path: Path) -> None:
    """Write .svg or .png; raises `OptionError` for another ending, and for a PNG where no font has the characters."""
    svg = draw(around)
    if path.suffix == ".svg":
        with atomic_write(path) as file:
            file.write(svg)
    elif path.suffix == ".png":
        missing = without_font(svg)
        if missing:
            raise OptionError(
                f"no font of this machine has {', '.join(missing[:5])}{' and others' if len(missing) > 5 else ''}; "
                "install one (for Chinese Noto Sans CJK), or write .svg, which shows in the reader's fonts"
            )
        content = need("resvg_py").svg_to_bytes(svg_string=svg, zoom=SCALE)
        with atomic_write(path, binary=True) as file:
            file.write(content)
    else:
        raise OptionError(f"{path}: a picture ends in .svg or .png")


def draw(around: Neighbourhood) -> str:
    """The picture as SVG."""
    layout = lay_out(around)
    left, top, right, bottom = layout.extent
    title, caption = _title(around), _caption(around, layout)
    colors = _colors(layout)
    wide = max(
        right - left, text_width(title, 20), text_width(caption, 13), text_width("".join(colors), 16) + 40 * len(colors)
    )
    width, height = wide + 2 * MARGIN, bottom - top + 2 * MARGIN + HEAD + FOOT
    x, y = MARGIN - left + (wide - right + left) / 2, MARGIN + HEAD - top
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="{_said(title)}" font-family="{FONTS}">',
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        _text(MARGIN, MARGIN + 18, title, 20, INK, bold=True),
        _text(MARGIN, MARGIN + 42, caption, 13, FAINT),
        f'<g transform="translate({x:.1f} {y:.1f})">',
        *(_line(line) for line in layout.lines),
        *(_box(box, colors[box.node.type], bold=box is layout.boxes[0]) for box in layout.boxes),
        "</g>",
        _legend(colors, height - MARGIN),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _title(around: Neighbourhood) -> str:
    kind = around.center.type
    return f"{around.center.name} ({kind})" if kind else around.center.name


def _caption(around: Neighbourhood, layout: Layout) -> str:
    facts, statements = len(around.edges), sum(edge.statements for edge in around.edges)
    parts = [
        f"{facts} {'fact' if facts == 1 else 'facts'}, stated {statements} {'time' if statements == 1 else 'times'}"
    ]
    if around.left_out:
        parts.append(f"{around.left_out} more left out")
    if layout.undrawn:
        parts.append(f"{layout.undrawn} not drawn, between entities of one column")
    return "; ".join(parts)


def _colors(layout: Layout) -> dict[str, str]:
    """A color for each type; those beyond the eighth share the last."""
    kinds = sorted({box.node.type for box in layout.boxes})
    return {kind: COLORS[min(place, len(COLORS) - 1)] for place, kind in enumerate(kinds)}


def _line(line: Line) -> str:
    side = 1 if line.x2 > line.x0 else -1
    middle = (line.bend + line.x1) / 2
    course = (
        f"M{line.x0:.1f} {line.y0:.1f}H{line.bend:.1f}"
        f"C{middle:.1f} {line.y0:.1f} {middle:.1f} {line.y1:.1f} {line.x1:.1f} {line.y1:.1f}H{line.x2:.1f}"
    )
    tip, place, way = (line.x2, line.y1, side) if line.outward else (line.x0, line.y0, -side)
    head = f"M{tip:.1f} {place:.1f}l{-8 * way} -4.5v9z"
    edge = line.edge
    said = f"{edge.subject.name} | {edge.predicate} | {edge.object.name}\n{edge.text}"
    anchor = "start" if side > 0 else "end"
    thickness = 1.2 + min(edge.statements - 1, 8) * 0.25
    label = f'<tspan fill="{INK}">{_said(line.label)}</tspan>'
    note = f'<tspan fill="{FAINT}">{_said(line.note)}</tspan>'
    return (
        f"<g><title>{_said(said)}</title>"
        f'<path d="{course}" fill="none" stroke="{RULE}" stroke-width="{thickness:.2f}"/>'
        f'<path d="{head}" fill="{FAINT}"/>'
        f'<text x="{line.x1 + 10 * side:.1f}" y="{line.y1 - 5:.1f}" font-size="{SMALL}" text-anchor="{anchor}">'
        f"{label} {note}</text></g>"
    )


def _box(box: Box, color: str, *, bold: bool) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    fill, ink = (color, "#ffffff") if bold else ("#ffffff", INK)
    kind = f" ({box.node.type})" if box.node.type else ""
    weight = ' font-weight="600"' if bold else ""
    return (
        f"<g><title>{_said(box.node.name + kind)}</title>"
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="7" '
        f'fill="{fill}" stroke="{color}" stroke-width="1.5"/>'
        f'<text x="{box.x:.1f}" y="{box.y + 5:.1f}" font-size="{EM:.0f}" text-anchor="middle" fill="{ink}"{weight}>'
        f"{_said(box.label)}</text></g>"
    )


def _legend(colors: dict[str, str], y: float) -> str:
    parts, x = [], MARGIN
    for kind, color in colors.items():
        if kind:
            parts.append(
                f'<circle cx="{x + 6:.1f}" cy="{y - 4:.1f}" r="5" fill="{color}"/>'
                + _text(x + 17, y, kind, 12.5, FAINT)
            )
            x += text_width(kind, 12.5) + 40
    return "\n".join(parts)


def _text(x: float, y: float, words: str, size: float, color: str, *, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}"{weight}>{_said(words)}</text>'


def _said(words: str) -> str:
    return escape(printable(words))


def without_font(words: str) -> list[str]:
    """The characters of some words for which no font of this machine has a picture.

    Each is drawn beside one that no font has; where the two look the same, it is the empty box that stands for it.
    """
    shown = sorted({it for it in words if unicodedata.category(it)[0] in "LNPS"})
    cells = [*shown, _NOWHERE]
    corners = [(CELL * (place % 32), CELL * (place // 32)) for place in range(len(cells))]
    texts = [
        f'<text x="{x + 8}" y="{y + 34}" font-size="24" font-family="{FONTS}">{_said(it)}</text>'
        for it, (x, y) in zip(cells, corners, strict=True)
    ]
    size = f'width="{CELL * 32}" height="{CELL * (len(cells) // 32 + 1)}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(texts)}</svg>'
    image = need("PIL.Image").open(io.BytesIO(need("resvg_py").svg_to_bytes(svg_string=svg)))
    *pictures, empty = (image.crop((x, y, x + CELL, y + CELL)).tobytes() for x, y in corners)
    blank = bytes(len(empty))
    return [it for it, picture in zip(shown, pictures, strict=True) if picture in (empty, blank)]

"""Documents as one HTML page that stands alone: entities marked in their text, relations as a table below it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from kexue.extraction.document import Document, Relation, Span

PALETTE = ("#ffd8a8", "#b2f2bb", "#a5d8ff", "#eebefa", "#ffc9c9", "#ffec99", "#c3fae8", "#d0bfff")

STYLE = """
:root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
article { margin: 1.5rem 0; padding: 1rem; border: 1px solid #8884; border-radius: .5rem }
mark { color: #111; padding: .1em .25em; border-radius: .25em }
mark small { margin-left: .4em; opacity: .65; font-size: .7em }
table { border-collapse: collapse; margin-top: .5rem; width: 100% }
td { padding: .15rem .5rem; border-top: 1px solid #8884; vertical-align: top }
td:last-child { text-align: right; font-variant-numeric: tabular-nums }
.none { opacity: .6 }
"""


def facts_page(documents: Sequence[Document], *, title: str) -> str:
    """The whole page; everything from the documents is escaped."""
    labels = sorted({span.label for document in documents for span in document.entities})
    colours = {label: PALETTE[index % len(PALETTE)] for index, label in enumerate(labels)}
    articles = "\n".join(_article(document, colours) for document in documents)
    return (
        f'<!doctype html>\n<html lang="und">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n{articles}\n</html>\n"
    )


def _article(document: Document, colours: dict[str, str]) -> str:
    rows = "\n".join(_row(fact, document.text) for fact in document.relations)
    table = f"<table>{rows}</table>" if rows else '<p class="none">no relation</p>'
    return f'<article><p dir="auto">{_marked(document, colours)}</p>{table}</article>'


def _marked(document: Document, colours: dict[str, str]) -> str:
    """The text with its entities marked; of overlapping ones the first and longest is shown."""
    pieces, position = [], 0
    for span in sorted(document.entities, key=lambda span: (span.start, -span.end)):
        if span.start < position:
            continue
        pieces += [escape(document.text[position : span.start]), _mark(span, document.text, colours)]
        position = span.end
    return "".join([*pieces, escape(document.text[position:])])


def _mark(span: Span, text: str, colours: dict[str, str]) -> str:
    label = f"<small>{escape(span.label)}</small>" if span.label else ""
    return f'<mark style="background:{colours[span.label]}">{escape(text[span.start : span.end])}{label}</mark>'


def _row(fact: Relation, text: str) -> str:
    cells = (fact.subject.surface(text), fact.predicate, fact.object.surface(text))
    score = "" if fact.score is None else f"{fact.score:.2f}"
    return "<tr>" + "".join(f'<td dir="auto">{escape(cell)}</td>' for cell in cells) + f"<td>{score}</td></tr>"

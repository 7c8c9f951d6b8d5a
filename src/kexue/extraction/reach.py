"""How far a model looks: no wider and no farther than twice what its training data showed it.

A model that only ever saw sentences has no opinion on a span of 600 tokens, or on a relation between the first and the
last page: in a long text such candidates are noise, and there are more of them than of all others. So the width of
spans and the distance of relations are learnt from the gold annotations and stored with the model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kexue.extraction.links import Links

MARGIN = 2.0  # times the farthest seen
LEAST = 16  # tokens


@dataclass(frozen=True)
class Reach:
    """Limits in tokens; None: none. What lies beyond is no candidate, as what lies on padding is none."""

    span_width: int | None = None
    """Tokens in a span."""
    link_distance: int | None = None
    """Tokens between the starts of a subject and an object."""

    @classmethod
    def of(cls, annotated: Iterable[Links]) -> Reach:
        """The reach that these annotations teach."""
        widths, distances = [0], [0]
        for links in annotated:
            widths += [end - start + 1 for _, start, end in links.spans]
            distances += [abs(subject - object_) for _, subject, object_ in links.starts]
        return cls(_with_margin(max(widths)), _with_margin(max(distances)))


def _with_margin(seen: int) -> int:
    return max(LEAST, round(MARGIN * seen))

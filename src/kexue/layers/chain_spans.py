"""Spans of a linear chain of tags, each with a score of its own: by how much the best path with it leads.

    score(span) = (best score of a path with the span - best score of a path without it) / 2

It is above 0 for the spans of Viterbi's path and for no others, so a chain decides as it always did; but it also says
how sure it is of each span, and a lower floor finds the spans of paths that almost won. A path is without a span if at
one place it has a tag that the span does not allow there, so the second term is the largest of the best scores through
all such tags.

The tags are O, then B and I of each label: a span of a label is one B, any number of I, and then no I.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kexue.layers.token_pair_scores import PairScores
from kexue.ops.intervals import RangeMaximum


def num_tags(num_labels: int) -> int:
    """O, and B and I of each label."""
    return 1 + 2 * num_labels


def tags_of_spans(positives: Int[Tensor, "n 4"], mask: Bool[Tensor, "batch seq"]) -> Int[Tensor, "batch seq"]:
    """The tags of spans (text, label, start, end) that do not overlap."""
    text, label, start, end = positives.unbind(1)
    steps = torch.zeros(mask.shape[0], mask.shape[1] + 1, dtype=torch.long, device=mask.device)
    steps.index_put_((text, start), 2 + 2 * label, accumulate=True)
    steps.index_put_((text, end + 1), -2 - 2 * label, accumulate=True)
    return steps.cumsum(1)[:, :-1].index_put((text, start), 1 + 2 * label)


@dataclass(frozen=True, eq=False)
class ChainSpanScores(PairScores):
    """Scores of spans; `alpha` and `beta` are those of `ops.linear_chain.best_through`, texts are padded at the end."""

    emissions: Float[Tensor, "batch seq tags"]
    transitions: Float[Tensor, "tags tags"]
    alpha: Float[Tensor, "batch seq tags"]
    beta: Float[Tensor, "batch seq tags"]
    mask: Bool[Tensor, "batch seq"]
    ordered: bool = True

    @property
    def num_labels(self) -> int:
        return (self.emissions.shape[2] - 1) // 2

    def block(self, rows: slice, columns: slice) -> Float[Tensor, "batch num_labels rows columns"]:
        return (self._with(rows, columns) - self._without(rows, columns)) / 2

    def _with(self, rows: slice, columns: slice) -> Tensor:
        """The best score of a path with B at the row, I up to the column, and then no I."""
        begin, inside = self.transitions.diagonal(1)[1::2], self.transitions.diagonal()[2::2]  # B to I, I to I
        run = (_inside(self.emissions) + inside[:, None]).cumsum(2)
        several = (_begin(self.alpha) + (begin - inside)[:, None] - run)[:, :, rows, None] + (
            run + self._leaving(_inside)
        )[:, :, None, columns]
        single = (_begin(self.alpha) + self._leaving(_begin))[:, :, rows, None]
        places = torch.arange(self.mask.shape[1], device=self.mask.device)
        return torch.where(places[rows, None] == places[columns], single, several)

    def _leaving(self, last: Callable[[Tensor], Tensor]) -> Float[Tensor, "batch num_labels seq"]:
        """The best score of what follows the last tag of a span, B or I, and is no I of its label; 0 at the end."""
        following = (self.emissions + self.beta)[:, 1:, None]  # batch, seq - 1, 1, tags
        own = torch.eye(self.emissions.shape[2], dtype=torch.bool, device=self.mask.device)[2::2]  # I of each label
        paths = (following + last(self.transitions.T[None])[0]).masked_fill(own, -torch.inf)
        best = nn.functional.pad(paths.amax(3), (0, 0, 0, 1)).mT
        return best.masked_fill(~self._followed[:, None], 0)

    def _without(self, rows: slice, columns: slice) -> Tensor:
        """The best score of a path with another tag than B at the row, than I behind it, or with an I past the end."""
        through = self.alpha + self.beta
        others = _best_of_others(through)
        after = nn.functional.pad(_inside(through)[:, :, 1:], (0, 1)).masked_fill(~self._followed[:, None], -torch.inf)
        largest = RangeMaximum(_inside(others).flatten(0, 1))
        places = torch.arange(self.mask.shape[1], device=self.mask.device)
        number = torch.arange(self.mask.shape[0] * self.num_labels, device=self.mask.device)[:, None, None]
        behind = largest(number, places[rows, None] + 1, places[columns] + 1).unflatten(0, (-1, self.num_labels))
        ends = torch.maximum(_begin(others)[:, :, rows, None], after[:, :, None, columns])
        return torch.maximum(ends, behind)

    @cached_property
    def _followed(self) -> Bool[Tensor, "batch seq"]:
        """Whether another token comes after."""
        return nn.functional.pad(self.mask[:, 1:], (0, 1))


def _begin(values: Float[Tensor, "batch seq tags"]) -> Float[Tensor, "batch num_labels seq"]:
    return values[..., 1::2].mT


def _inside(values: Float[Tensor, "batch seq tags"]) -> Float[Tensor, "batch num_labels seq"]:
    return values[..., 2::2].mT


def _best_of_others(values: Float[Tensor, "batch seq tags"]) -> Float[Tensor, "batch seq tags"]:
    """For each tag the largest value of all the other tags."""
    (best, second), (winner, _) = (two.unbind(-1) for two in values.topk(2))
    tags = torch.arange(values.shape[2], device=values.device)
    return torch.where(winner[..., None] == tags, second[..., None], best[..., None])

"""Half-pointer half-tag: every token says whether a span starts, and whether one ends, at it.

A span (i, j) of a label is read off where i is a start, j an end, and no end lies between: an end belongs to the
nearest start before it. With start scores s and end scores e, which say yes above 0, that is

    score(i, j) = min(s_i, e_j, -max of e_k over i <= k < j)  >  0

so the score of a span is its weakest reason, and spans above any other floor are found by the same rule.
Source of the tagging: Su, kexue.fm/archives/5409 (2018, with a DGCNN encoder) and 6671; Wei et al. 2020, CasRel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kexue.layers.token_pair_scores import PairScores
from kexue.ops.intervals import RangeMaximum


@dataclass(frozen=True, eq=False)
class PointerTagScores(PairScores):
    """Scores of spans from scores of starts and ends, float[batch, num_labels, seq], -inf at padding."""

    starts: Float[Tensor, "batch num_labels seq"]
    ends: Float[Tensor, "batch num_labels seq"]
    ordered: bool = True

    @property
    def num_labels(self) -> int:
        return self.starts.shape[1]

    @cached_property
    def _between(self) -> RangeMaximum:
        return RangeMaximum(self.ends.flatten(0, 1))

    def block(self, rows: slice, columns: slice) -> Float[Tensor, "batch num_labels rows columns"]:
        starts, ends = self.starts.flatten(0, 1), self.ends.flatten(0, 1)
        places = torch.arange(starts.shape[1], device=starts.device)
        number = torch.arange(len(starts), device=starts.device)[:, None, None]
        gap = -self._between(number, places[rows, None], places[None, columns])
        scores = torch.minimum(torch.minimum(starts[:, rows, None], ends[:, None, columns]), gap)
        shaped: Tensor = scores.unflatten(0, self.starts.shape[:2])
        return shaped

    def pairs(self, batch: int, start: Int[Tensor, "*n"], end: Int[Tensor, "*n"]) -> Float[Tensor, "num_labels ..."]:
        """The scores of single pairs of one text."""
        labels = torch.arange(self.num_labels, device=start.device).reshape(-1, *(1,) * start.dim())
        gap = -self._between(batch * self.num_labels + labels, start[None], end[None])
        own_starts, own_ends = self.starts[batch][:, start], self.ends[batch][:, end]
        return torch.minimum(torch.minimum(own_starts, own_ends), gap)


def nearest_pairs(
    starts: Float[Tensor, "rows seq"], ends: Float[Tensor, "rows seq"], floor: float, width: int
) -> tuple[Int[Tensor, "n 3"], Float[Tensor, "n 2"]]:
    """All spans above a floor: (row, start, end) in that order, and (score of the start, the weaker of end and gap).

    -inf at padding. Instead of all pairs, each start is followed from end to end until one is so sure that no span
    goes past it: at floor 0 that is the nearest one.
    """
    between = RangeMaximum(ends)
    following = _next(ends > floor)
    row, start = (starts > floor).nonzero().unbind(1)
    end = following[row, start]
    places, scores = [torch.stack((row, start, end), 1)[:0]], [starts.new_zeros((0, 2))]
    while len(row):
        near = (end < ends.shape[1]) & (end < start + width)
        row, start, end = row[near], start[near], end[near]
        gap = -between(row, start, end)
        open_ = gap > floor
        row, start, end, gap = row[open_], start[open_], end[open_], gap[open_]
        places.append(torch.stack((row, start, end), 1))
        scores.append(torch.stack((starts[row, start], torch.minimum(ends[row, end], gap)), 1))
        end = following[row, end + 1]
    return _sorted(torch.cat(places), torch.cat(scores), ends.shape[1])


def _next(hits: Bool[Tensor, "rows seq"]) -> Int[Tensor, "rows seq_and_one"]:
    """For every place, and for the one past the last, the first hit at or after it; seq where there is none."""
    seq = hits.shape[1]
    places = torch.where(hits, torch.arange(seq, device=hits.device), seq)
    nearest = places.flip(1).cummin(1).values.flip(1) if seq else places
    return torch.nn.functional.pad(nearest, (0, 1), value=seq)


def _sorted(places: Tensor, scores: Tensor, seq: int) -> tuple[Tensor, Tensor]:
    order = ((places[:, 0] * seq + places[:, 1]) * seq + places[:, 2]).argsort()
    return places[order], scores[order]

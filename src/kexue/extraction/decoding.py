"""Token-pair scores to spans and triples: accepted spans only, bounded, and equal to exhaustive search.

A triple is found where all four of its scores pass: subject span, object span, start link, end link
(kexue.fm/archives/8888). Link scores are asked for at accepted spans only, so no predicates x length x length
tensor is built. Every text has a budget of spans and of triples, best first; a text whose budget cut something
says so, and one that was not cut has exactly what exhaustive search over all quintuples would have found.

Where two subjects share a start (or an end) and two objects share the other, the links cannot tell which start
goes with which end, so a set of triples may decode to more triples than were encoded, never to fewer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.extraction.links import SpanLabels
from kexue.layers.token_pair_scores import TokenPairScores

BLOCK_ELEMENTS = 2**22  # the largest block of scores looked at in one go


@dataclass(frozen=True)
class Bounds:
    """How much one text may yield. Budgets grow with its number of tokens, so long documents are not starved."""

    spans: int = 128
    spans_per_token: float = 0.25
    relations: int = 512
    relations_per_token: float = 1.0
    span_width: int = 512  # tokens; longer spans are not looked for

    def max_spans(self, num_tokens: int) -> int:
        """Budget of spans for a text of this length."""
        return max(self.spans, math.ceil(self.spans_per_token * num_tokens))

    def max_relations(self, num_tokens: int) -> int:
        """Budget of triples for a text of this length."""
        return max(self.relations, math.ceil(self.relations_per_token * num_tokens))


@dataclass(frozen=True)
class Candidates:
    """What was found in one text, in tokens, on the CPU.

    `spans` long[n, 3] of (label, start, end) and `span_scores` float[n]; `triples` long[m, 3] of (row of subject in
    `spans`, predicate, row of object) and `triple_scores` float[m, 4] of (subject, object, start link, end link).
    `cut` names the budget that was exhausted, or is empty.
    """

    spans: Tensor
    span_scores: Tensor
    triples: Tensor
    triple_scores: Tensor
    cut: str = ""


def decode(
    spans: TokenPairScores,
    starts: TokenPairScores,
    ends: TokenPairScores,
    mask: Tensor,
    labels: SpanLabels,
    *,
    floor: float = 0.0,
    bounds: Bounds | None = None,
) -> list[Candidates]:
    """Find the spans and triples of each text whose scores all exceed `floor`.

    `mask` is bool[batch, length], True for the tokens of a text, which come first.
    """
    bounds = bounds or Bounds()
    lengths = mask.sum(1).tolist()
    found = find_spans(spans, mask, floor, bounds)
    subjects, objects = labels.subjects.to(mask.device), labels.objects.to(mask.device)
    results = []
    for text, (places, scores, spans_cut) in enumerate(found):
        triples, triple_scores, relations_cut = _link(
            text, places, scores, starts, ends, subjects, objects, floor, bounds.max_relations(lengths[text])
        )
        cut = " and ".join(name for name, was in (("spans", spans_cut), ("relations", relations_cut)) if was)
        results.append(Candidates(places.cpu(), scores.cpu(), triples.cpu(), triple_scores.cpu(), cut))
    return results


def find_spans(
    scores: TokenPairScores, mask: Tensor, floor: float, bounds: Bounds
) -> list[tuple[Tensor, Tensor, bool]]:
    """For each text (spans long[n, 3] of (label, start, end), their scores, whether its budget cut some)."""
    lengths = mask.sum(1).tolist()
    budgets = [bounds.max_spans(length) for length in lengths]
    pieces: list[list[tuple[Tensor, Tensor]]] = [[] for _ in lengths]
    cut = [False] * len(lengths)
    for rows, columns in _blocks(mask.shape[0], mask.shape[1], bounds.span_width):
        allowed = _allowed_pairs(mask, rows, columns, bounds.span_width)
        for label, block in enumerate(scores.block(rows, columns)):
            hits = (block > floor) & allowed
            counts = hits.sum((1, 2)).tolist()
            for text, count in enumerate(counts):
                if not count:
                    continue
                index = hits[text].nonzero()
                values = block[text][index[:, 0], index[:, 1]]
                if count > budgets[text]:
                    cut[text] = True
                    values, best = values.topk(budgets[text])
                    index = index[best]
                offset = index.new_tensor([rows.start, columns.start])
                pieces[text].append((torch.cat([torch.full_like(index[:, :1], label), index + offset], 1), values))
    results = []
    for text, parts in enumerate(pieces):
        places = torch.cat([place for place, _ in parts]) if parts else mask.new_zeros((0, 3), dtype=torch.long)
        values = torch.cat([value for _, value in parts]) if parts else mask.new_zeros(0, dtype=torch.float32)
        if len(values) > budgets[text]:
            cut[text] = True
            values, best = values.topk(budgets[text])
            places = places[best]
        results.append((places, values, cut[text]))
    return results


def _blocks(batch: int, length: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Row blocks of the score matrix with the columns that spans from these rows can reach."""
    reach = min(length, width)
    size = max(1, min(length, BLOCK_ELEMENTS // max(1, batch * reach)))
    for first in range(0, length, size):
        last = min(length, first + size)
        yield slice(first, last), slice(first, min(length, last + width))


def _allowed_pairs(mask: Tensor, rows: slice, columns: slice, width: int) -> Tensor:
    start = torch.arange(rows.start, rows.stop, device=mask.device)[:, None]
    end = torch.arange(columns.start, columns.stop, device=mask.device)[None, :]
    return mask[:, rows, None] & mask[:, None, columns] & (start <= end) & (end - start < width)


def _link(
    text: int,
    places: Tensor,
    span_scores: Tensor,
    starts: TokenPairScores,
    ends: TokenPairScores,
    subjects_allowed: Tensor,
    objects_allowed: Tensor,
    floor: float,
    budget: int,
) -> tuple[Tensor, Tensor, bool]:
    """Triples among the accepted spans of one text: (long[m, 3], their four scores float[m, 4], cut?)."""
    label = places[:, 0]
    subject_rows = subjects_allowed.any(0)[label].nonzero()[:, 0]
    object_rows = objects_allowed.any(0)[label].nonzero()[:, 0]
    triples = [places.new_zeros((0, 3))]
    scores = [span_scores.new_zeros((0, 4))]
    cut = False
    if len(subject_rows) and len(object_rows):
        size = max(1, BLOCK_ELEMENTS // (starts.num_labels * len(object_rows)))
        for rows in subject_rows.split(size):
            block, values = _link_block(
                text, places, span_scores, rows, object_rows, starts, ends, subjects_allowed, objects_allowed, floor
            )
            block, values, was_cut = _keep_best(block, values, budget)
            cut |= was_cut
            triples.append(block)
            scores.append(values)
    block, values, was_cut = _keep_best(torch.cat(triples), torch.cat(scores), budget)
    return block, values, cut or was_cut


def _link_block(
    text: int,
    places: Tensor,
    span_scores: Tensor,
    subject_rows: Tensor,
    object_rows: Tensor,
    starts: TokenPairScores,
    ends: TokenPairScores,
    subjects_allowed: Tensor,
    objects_allowed: Tensor,
    floor: float,
) -> tuple[Tensor, Tensor]:
    subjects, objects = places[subject_rows], places[object_rows]
    start_scores = starts.at(text, subjects[:, 1], objects[:, 1])
    end_scores = ends.at(text, subjects[:, 2], objects[:, 2])
    weakest = torch.minimum(start_scores, end_scores)
    predicate, row, column = (weakest > floor).nonzero(as_tuple=True)
    fits = subjects_allowed[predicate, subjects[row, 0]] & objects_allowed[predicate, objects[column, 0]]
    predicate, row, column = predicate[fits], row[fits], column[fits]
    triples = torch.stack([subject_rows[row], predicate, object_rows[column]], 1)
    scores = torch.stack(
        [
            span_scores[subject_rows[row]],
            span_scores[object_rows[column]],
            start_scores[predicate, row, column],
            end_scores[predicate, row, column],
        ],
        1,
    )
    return triples, scores


def _keep_best(triples: Tensor, scores: Tensor, budget: int) -> tuple[Tensor, Tensor, bool]:
    """The `budget` triples whose weakest score is highest."""
    if len(triples) <= budget:
        return triples, scores, False
    best = scores.amin(1).topk(budget).indices
    return triples[best], scores[best], True

"""Token-pair scores to spans and triples: accepted spans only, bounded, and equal to exhaustive search.

A triple is found where all four of its scores pass: subject span, object span, start link, end link
(kexue.fm/archives/8888). Link scores are asked for at accepted spans only, so no predicates x length x length
tensor is built. Every text has a budget of spans and of triples, best first; a text whose budget cut something
says so, and one that was not cut has exactly what exhaustive search over all quintuples would have found.

Texts with few spans are joined all at once: a GPU that is asked text by text waits more than it works.

Where two subjects share a start (or an end) and two objects share the other, the links cannot tell which start
goes with which end, so a set of triples may decode to more triples than were encoded, never to fewer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kexue.extraction.links import Labels
from kexue.extraction.reach import Reach
from kexue.layers.token_pair_scores import LinkScores, PairScores

BLOCK_ELEMENTS = 2**22  # the most scores looked at in one go
FEW_ELEMENTS = 2**18  # link scores of a text up to which it is joined together with other texts


@dataclass(frozen=True)
class Bounds:
    """How much one text may yield. Budgets grow with its number of tokens, so long documents are not starved."""

    spans: int = 128
    spans_per_token: float = 0.25
    relations: int = 512
    relations_per_token: float = 1.0

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
    `spans`, predicate, row of object) and `triple_scores` float[m, terms], which all have to pass: (subject, object,
    start link, end link) of heads that link spans, (subject, object's start, object's end) of CasRel.
    `cut` names the bounds that cut something off ("spans", "relations"), or is empty.
    """

    spans: Tensor
    span_scores: Tensor
    triples: Tensor
    triple_scores: Tensor
    cut: str = ""


class Spans(NamedTuple):
    """The accepted spans of one text, still on the device that found them."""

    places: Int[Tensor, "n 3"]
    """(label, start, end)"""
    scores: Float[Tensor, " n"]
    cut: bool = False


class _Links(NamedTuple):
    """What decides which accepted spans are joined."""

    starts: LinkScores
    ends: LinkScores
    subjects: Bool[Tensor, "predicates labels"]
    objects: Bool[Tensor, "predicates labels"]
    floor: float
    reach: Reach

    def allow(self, predicate: Tensor, subject_label: Tensor, object_label: Tensor) -> Tensor:
        """Whether spans of these labels may stand at the ends of these predicates."""
        return self.subjects[predicate, subject_label] & self.objects[predicate, object_label]


def decode(
    spans: PairScores,
    starts: LinkScores,
    ends: LinkScores,
    mask: Bool[Tensor, "batch seq"],
    labels: Labels,
    *,
    floor: float = 0.0,
    bounds: Bounds | None = None,
    reach: Reach | None = None,
) -> list[Candidates]:
    """Find the spans and triples of each text whose scores all exceed `floor`, as far as the model looks.

    `mask` is True at the tokens that may begin or end a span. What a budget cuts does not depend on the other texts
    of the batch: of candidates with the same score the first in the text stay.
    """
    bounds, reach = bounds or Bounds(), reach or Reach()
    subjects, objects = labels.subjects.to(mask.device), labels.objects.to(mask.device)
    links = _Links(starts, ends, subjects, objects, floor, reach)
    found_spans = find_spans(spans, mask, floor, bounds, reach)
    budgets = [bounds.max_relations(length) for length in mask.sum(1).tolist()]
    return [
        found
        for texts in _groups([len(found.places) ** 2 * links.starts.num_labels for found in found_spans])
        for found in _join_texts(texts, found_spans, links, budgets)
    ]


def decode_spans(
    spans: PairScores,
    mask: Bool[Tensor, "batch seq"],
    *,
    floor: float = 0.0,
    bounds: Bounds | None = None,
    reach: Reach | None = None,
) -> list[Candidates]:
    """Find the spans of each text whose scores exceed `floor`; nothing joins them."""
    found = find_spans(spans, mask, floor, bounds or Bounds(), reach or Reach())
    return [candidates(each) for each in _on_cpu(found)]


def candidates(
    spans: Spans, triples: Tensor | None = None, scores: Tensor | None = None, *, cut: bool = False
) -> Candidates:
    """What was found in one text, moved to the CPU; `cut` says whether triples were left out."""
    triples = spans.places.new_zeros((0, 3)) if triples is None else triples
    scores = spans.scores.new_zeros((0, 4)) if scores is None else scores
    names = " and ".join(name for name, was_cut in (("spans", spans.cut), ("relations", cut)) if was_cut)
    return Candidates(spans.places.cpu(), spans.scores.cpu(), triples.cpu(), scores.cpu(), names)


def find_spans(
    scores: PairScores, mask: Bool[Tensor, "batch seq"], floor: float, bounds: Bounds, reach: Reach
) -> list[Spans]:
    """The best spans of each text, as far as the model looks, whose scores exceed `floor`."""
    width = reach.span_width or mask.shape[1]
    texts, tokens = (torch.arange(size, device=mask.device) for size in mask.shape)
    none = Spans(mask.new_zeros((0, 3), dtype=torch.long), mask.new_zeros(0, dtype=torch.float32))
    found = [none] * len(mask)
    budgets = [bounds.max_spans(length) for length in mask.sum(1).tolist()]
    for rows, columns in _blocks(len(mask), scores.num_labels, mask.shape[1], width):
        block = scores.block(rows, columns)
        pairs = (mask[:, rows, None] & mask[:, None, columns]).triu().tril(width - 1)  # both begin at the same token
        if reach.parts is not None:
            pairs &= reach.whole(texts[:, None, None], tokens[rows, None], tokens[columns])
        hits = (block > floor).logical_and_(pairs[:, None])
        # Starts before labels: in this order the spans of one block follow those of another.
        text, row, label, column = hits.transpose(1, 2).nonzero().unbind(1)
        places = torch.stack((label, row + rows.start, column + columns.start), 1)
        values = block[text, label, row, column]
        counts = text.bincount(minlength=len(mask)).tolist()
        parts = zip(places.split(counts), values.split(counts), budgets, strict=True)
        found = [_extend(before, *part) for before, part in zip(found, parts, strict=True)]
    return found


def _blocks(batch: int, num_labels: int, length: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Row blocks of the score matrices, with the columns at which spans from these rows can end."""
    budget = BLOCK_ELEMENTS // (batch * num_labels)  # elements of one matrix
    banded = (math.isqrt(width**2 + 4 * budget) - width) // 2  # rows, where rows * (rows + width) elements fit
    first = 0
    while first < length:
        size = max(1, budget // (length - first), banded)
        yield slice(first, min(length, first + size)), slice(first, min(length, first + size + width - 1))
        first += size


def _extend(found: Spans, places: Tensor, scores: Tensor, budget: int) -> Spans:
    """The best of the spans found before and of these."""
    if not len(found.places) and len(places) <= budget:
        return Spans(places, scores, found.cut)
    if len(found.places) + len(places) <= budget:
        return Spans(torch.cat((found.places, places)), torch.cat((found.scores, scores)), found.cut)
    best = best_of(scores, budget)
    places, scores = torch.cat((found.places, places[best])), torch.cat((found.scores, scores[best]))
    best = best_of(scores, budget)
    return Spans(places[best], scores[best], cut=True)


def _groups(elements: Sequence[int]) -> Iterator[range]:
    """Neighbouring texts that are joined together, by the number of link scores of each."""
    first, total = 0, 0
    for text, count in enumerate(elements):
        alone = count > FEW_ELEMENTS
        if first < text and (alone or total + count > BLOCK_ELEMENTS or elements[first] > FEW_ELEMENTS):
            yield range(first, text)
            first, total = text, 0
        total += count
    if first < len(elements):
        yield range(first, len(elements))


def _join_texts(texts: range, spans: Sequence[Spans], links: _Links, budgets: Sequence[int]) -> Iterator[Candidates]:
    """The candidates of a group of texts, on the CPU."""
    own = [spans[text] for text in texts]
    if len(own) == 1 and len(own[0].places) ** 2 * links.starts.num_labels > FEW_ELEMENTS:
        *joined, cut = _find_triples(texts.start, own[0], links, budgets[texts.start])
        yield candidates(own[0], *joined, cut=cut)
        return
    triples, scores = _join_few(texts.start, own, links)
    for found, own_triples, own_scores, text in zip(_on_cpu(own), triples, scores, texts, strict=True):
        best = best_of(own_scores.amin(1), budgets[text])
        yield candidates(found, own_triples[best], own_scores[best], cut=len(best) < len(own_triples))


def _join_few(first: int, spans: Sequence[Spans], links: _Links) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """All triples of several texts, the first of them number `first`, and their four scores; on the CPU."""
    counts = torch.tensor([len(found.places) for found in spans])
    places, own_scores = (torch.cat([found[field] for found in spans]) for field in (0, 1))
    text, subject, object_ = (index.to(places.device, non_blocking=True) for index in _all_pairs(counts))
    s_label, s_start, s_end = places[subject].unbind(1)
    o_label, o_start, o_end = places[object_].unbind(1)
    start_scores = links.starts.pairs(text + first, s_start, o_start)
    end_scores = links.ends.pairs(text + first, s_end, o_end)
    near = links.reach.near(text + first, s_start, o_start)
    allowed = links.subjects.T[s_label] & links.objects.T[o_label] & near[:, None]
    pair, predicate = ((torch.minimum(start_scores, end_scores) > links.floor) & allowed).nonzero().unbind(1)
    # Subjects before predicates before objects, as in a text that is joined by itself.
    order = ((subject[pair] * links.starts.num_labels + predicate) * len(places) + object_[pair]).argsort()
    pair, predicate = pair[order], predicate[order]
    offset = (counts.cumsum(0) - counts).to(places.device, non_blocking=True)[text[pair]]
    triples = torch.stack((subject[pair] - offset, predicate, object_[pair] - offset), 1).cpu()
    ends = own_scores[subject[pair]], own_scores[object_[pair]]
    scores = torch.stack((*ends, start_scores[pair, predicate], end_scores[pair, predicate]), 1).cpu()
    sizes = text[pair].bincount(minlength=len(spans)).tolist()
    return triples.split(sizes), scores.split(sizes)


def _all_pairs(counts: Int[Tensor, " texts"]) -> tuple[Tensor, Tensor, Tensor]:
    """The text of every pair of spans, and the two spans, counted through all texts of which each has so many."""
    offset = counts.cumsum(0) - counts
    text = torch.arange(len(counts)).repeat_interleave(counts**2)
    within = torch.arange(len(text)) - ((counts**2).cumsum(0) - counts**2)[text]
    size = counts[text]
    return text, offset[text] + within // size.clamp(min=1), offset[text] + within % size.clamp(min=1)


def _on_cpu(spans: Sequence[Spans]) -> list[Spans]:
    """The spans of several texts, moved at once."""
    sizes = [len(found.places) for found in spans]
    places, scores = (torch.cat([found[field] for found in spans]).cpu().split(sizes) for field in (0, 1))
    return [Spans(place, score, found.cut) for place, score, found in zip(places, scores, spans, strict=True)]


def _find_triples(text: int, spans: Spans, links: _Links, budget: int) -> tuple[Tensor, Tensor, bool]:
    """The best triples of one text: (long[m, 3], their four scores float[m, 4], whether the budget cut some)."""
    label = spans.places[:, 0]
    subjects = links.subjects.any(0)[label].nonzero()[:, 0]
    objects = links.objects.any(0)[label].nonzero()[:, 0]
    triples, scores = spans.places.new_zeros((0, 3)), spans.scores.new_zeros((0, 4))
    cut = False
    if len(subjects) and len(objects):
        for rows in subjects.split(max(1, BLOCK_ELEMENTS // (links.starts.num_labels * len(objects)))):
            *block, cut_here = _join(text, spans, rows, objects, links, budget)
            triples, scores = torch.cat((triples, block[0])), torch.cat((scores, block[1]))
            best = best_of(scores.amin(1), budget)
            cut |= cut_here or len(best) < len(triples)
            triples, scores = triples[best], scores[best]
    return triples, scores, cut


def _join(
    text: int, spans: Spans, subjects: Tensor, objects: Tensor, links: _Links, budget: int
) -> tuple[Tensor, Tensor, bool]:
    """The best triples of these subjects and objects, their four scores, and whether the budget cut some."""
    s_label, s_start, s_end = spans.places[subjects].unbind(1)
    o_label, o_start, o_end = spans.places[objects].unbind(1)
    start_scores, end_scores = links.starts.at(text, s_start, o_start), links.ends.at(text, s_end, o_end)
    weakest = torch.minimum(start_scores, end_scores)
    # Subjects before predicates: in this order the triples of one block follow those of another.
    near = links.reach.near(text, s_start[:, None], o_start)
    hits = ((weakest > links.floor) & near).transpose(0, 1).contiguous().nonzero()
    row, predicate, column = hits.unbind(1)
    row, predicate, column = hits[links.allow(predicate, s_label[row], o_label[column])].unbind(1)
    s_score, o_score = spans.scores[subjects], spans.scores[objects]
    best = best_of(weakest[predicate, row, column].minimum(s_score[row]).minimum(o_score[column]), budget)
    cut = len(best) < len(row)
    row, predicate, column = row[best], predicate[best], column[best]
    link_scores = start_scores[predicate, row, column], end_scores[predicate, row, column]
    triples = torch.stack((subjects[row], predicate, objects[column]), 1)
    return triples, torch.stack((s_score[row], o_score[column], *link_scores), 1), cut


def best_of(values: Float[Tensor, " n"], budget: int) -> Int[Tensor, " m"]:
    """Where the `budget` highest values are, or all of fewer, in their order; of equal values the first are taken."""
    if len(values) <= budget:
        return torch.arange(len(values), device=values.device)
    beaten = values.topk(budget + 1).values[-1]
    above = (values > beaten).nonzero()[:, 0]
    equal = (values == beaten).nonzero()[: budget - len(above), 0]
    return torch.cat((above, equal)).sort().values

"""CasRel: first the subjects, then for each subject and predicate the objects, both as half-pointer half-tags.

    P(triples) = P(subjects) P(predicate, object | subject)

A tagger marks starts and ends of spans; told which span is the subject, another marks starts and ends of its objects,
one pair of tags for each predicate. All gold subjects of a batch are trained on at once, and all subjects of a text
decoded at once: a subject only changes the weights of a linear map of the tokens, so the tokens are never copied for
each subject (subjects x length x hidden_dim).

The published forms differ in how the subject is told, in a power that makes the rare yes rarer, in the thresholds,
and in training on one subject of each text drawn at random; `VARIANTS` names them. Here the spans are tagged for every
label of the schema, not for subjects alone, so that entities have types and are found where no relation holds.

Source: Wei, Su et al. 2020, arXiv 1909.03227; Su, kexue.fm/archives/6671 (2019, with DGCNN) and 7161 (2020).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kexue.extraction import decoding
from kexue.extraction.decoding import Bounds, Candidates, Spans, best_of, candidates, find_spans
from kexue.extraction.heads.head import Head
from kexue.extraction.links import Links, SpanLabels, stack_positives
from kexue.extraction.reach import Reach
from kexue.layers.linear import linear
from kexue.layers.pointer_tags import PointerTagScores, nearest_pairs
from kexue.ops.precision import exact_dtype, without_autocast


class Subjects(NamedTuple):
    """Spans that are told to the object tagger, all long[n], sorted by text."""

    text: Tensor
    start: Tensor
    end: Tensor

    def in_rows(self, values: Tensor, batch: int) -> tuple[Tensor, Tensor]:
        """Values [n, ...] as [batch, most subjects of a text, ...], and the place of each subject in its row."""
        place = torch.arange(len(self.text), device=self.text.device) - torch.searchsorted(self.text, self.text)
        rows = values.new_zeros(batch, int(place.max()) + 1 if len(place) else 0, *values.shape[1:])
        return rows.index_put((self.text, place), values), place


class Modulated(nn.Module):
    """A layer normalisation whose gain and shift depend on [h_start; h_end] of the subject, then a linear map.

    gain and shift begin at 1 and 0 whatever the subject. With the token normalised to n, the tag c has the score
    sum_d W_cd (gain_d n_d + shift_d): a linear map of n with weights of its own for each subject.
    """

    def __init__(self, hidden_dim: int, num_tags: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_dim, elementwise_affine=False, eps=1e-6)
        self.gain, self.shift = nn.Linear(2 * hidden_dim, hidden_dim), nn.Linear(2 * hidden_dim, hidden_dim)
        self.tags = linear(hidden_dim, num_tags)
        for layer, value in ((self.gain, 1.0), (self.shift, 0.0)):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, value)

    def forward(self, hidden: Float[Tensor, "batch seq dim"], subjects: Subjects) -> Float[Tensor, "n num_tags seq"]:
        ends = torch.cat((hidden[subjects.text, subjects.start], hidden[subjects.text, subjects.end]), -1)
        weights = self.tags.weight * self.gain(ends)[:, None]
        constant = nn.functional.linear(self.shift(ends), self.tags.weight, self.tags.bias)
        rows, place = subjects.in_rows(weights, len(hidden))
        scores: Tensor = (rows.flatten(1, 2) @ self.norm(hidden).mT).unflatten(1, rows.shape[1:3])
        return scores[subjects.text, place] + constant[..., None]


class Added(nn.Module):
    """A linear map of the token plus the mean of the subject's tokens, as in the paper.

    So a subject adds the same to the scores of all tokens: which token is the likeliest object does not depend on it.
    """

    def __init__(self, hidden_dim: int, num_tags: int) -> None:
        super().__init__()
        self.tags = linear(hidden_dim, num_tags)

    def forward(self, hidden: Float[Tensor, "batch seq dim"], subjects: Subjects) -> Float[Tensor, "n num_tags seq"]:
        text, start, end = subjects
        total = nn.functional.pad(hidden.cumsum(1), (0, 0, 1, 0))
        mean = (total[text, end + 1] - total[text, start]) / (end + 1 - start)[:, None]
        own: Tensor = self.tags(hidden).mT[text]
        return own + nn.functional.linear(mean, self.tags.weight)[..., None]


@dataclass(frozen=True)
class TagRule:
    """A tag is given with probability sigmoid(x)^power, and taken above the threshold of its kind."""

    power: int = 1
    start_threshold: float = 0.5
    end_threshold: float = 0.5

    def logits(self, x: Tensor) -> Tensor:
        """log(p / (1 - p)) of p = sigmoid(x)^power; 1 - p = (1 - sigmoid) (1 + sigmoid + ... + sigmoid^(power - 1))."""
        if self.power == 1:
            return x
        likely = nn.functional.logsigmoid(x)
        ascending = torch.stack([(exponent * likely).exp() for exponent in range(self.power)]).sum(0)
        return self.power * likely - nn.functional.logsigmoid(-x) - ascending.log()

    def scores(self, x: Float[Tensor, "*batch kind seq"]) -> tuple[Tensor, Tensor]:
        """Scores of starts and of ends, [*batch, seq]: above 0 where the probability is above the threshold."""
        start, end = self.logits(x).unbind(-2)
        return (start - _logit(self.start_threshold)) / 2, (end - _logit(self.end_threshold)) / 2


@dataclass(frozen=True)
class Variant:
    """One form of the method: how the subject is told, how spans and objects are tagged, what a step trains on."""

    telling: type[Modulated] | type[Added]
    spans: TagRule = TagRule()
    objects: TagRule = TagRule()
    one_subject: bool = False


VARIANTS = {
    "all": Variant(Modulated),
    "su2020": Variant(Modulated, TagRule(2, 0.6, 0.5), TagRule(4, 0.6, 0.5), one_subject=True),
    "wei2020": Variant(Added, one_subject=True),
}
"""Ours trains on all gold subjects; the second is bert4keras's example of 2020, the third the paper."""


class CasRel(Head):
    """Half-pointer half-tags of spans, and of objects given a subject."""

    options: ClassVar[tuple[str, ...]] = ("casrel",)

    def __init__(self, hidden_dim: int, labels: SpanLabels, *, casrel: str = "all") -> None:
        super().__init__()
        self.labels = labels
        self.variant = VARIANTS[casrel]
        self.spans = linear(hidden_dim, 2 * len(labels.names))
        self.objects = self.variant.telling(hidden_dim, 2 * len(labels.predicates))

    @staticmethod
    def targets(links: list[Links]) -> dict[str, Tensor]:
        """Spans (text, label, start, end), subjects (text, start, end), objects (subject, predicate, start, end)."""
        rows: dict[tuple[int, int, int], int] = {}
        objects = []
        for text, link in enumerate(links):
            for predicate, subject_start, subject_end, *object_ in link.triples:
                row = rows.setdefault((text, subject_start, subject_end), len(rows))
                objects.append((row, predicate, *object_))
        return {
            "span_positives": stack_positives([link.spans for link in links]),
            "subjects": torch.tensor(list(rows), dtype=torch.long).reshape(-1, 3),
            "object_positives": torch.tensor(objects, dtype=torch.long).reshape(-1, 4),
        }

    def loss(self, hidden: Tensor, mask: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """-log P of all tags of the spans, plus those of the objects of the subjects trained on, float[batch]."""
        with without_autocast(hidden):
            hidden = hidden.to(exact_dtype(hidden))
            spans = self.variant.spans.logits(self._span_tags(hidden))
            loss = _tag_loss(spans, _tags(targets["span_positives"], spans), mask)
            subjects, objects = self._trained_on(targets["subjects"], targets["object_positives"], len(mask))
            tags = self.variant.objects.logits(self.object_tags(hidden, subjects))
            of_subjects = _tag_loss(tags, _tags(objects, tags), mask[subjects.text])
        return loss.index_add(0, subjects.text, of_subjects)

    @torch.no_grad()
    def decode(
        self,
        hidden: Tensor,
        mask: Tensor,
        *,
        floor: float = 0.0,
        bounds: Bounds | None = None,
        reach: Reach | None = None,
    ) -> list[Candidates]:
        bounds, reach = bounds or Bounds(), reach or Reach()
        with without_autocast(hidden):
            hidden = hidden.to(exact_dtype(hidden))
            starts, ends = self.variant.spans.scores(self._span_tags(hidden))
            padding = ~mask[:, None]
            tagged = PointerTagScores(starts.masked_fill(padding, -torch.inf), ends.masked_fill(padding, -torch.inf))
            found = find_spans(tagged, mask, floor, bounds, reach)
            search = _Search(self, hidden, mask, tagged, floor, reach)
            budgets = [bounds.max_relations(length) for length in mask.sum(1).tolist()]
            return [
                search.of_text(text, spans, budget)
                for text, (spans, budget) in enumerate(zip(found, budgets, strict=True))
            ]

    def _span_tags(self, hidden: Tensor) -> Float[Tensor, "batch num_labels kind seq"]:
        tags: Tensor = self.spans(hidden).mT.unflatten(1, (-1, 2))
        return tags

    def object_tags(self, hidden: Tensor, subjects: Subjects) -> Float[Tensor, "n predicates kind seq"]:
        """What the tags of the objects of each subject are made of: for every predicate its starts and its ends."""
        tags: Tensor = self.objects(hidden, subjects).unflatten(1, (len(self.labels.predicates), 2))
        return tags

    def _trained_on(self, subjects: Tensor, objects: Tensor, batch: int) -> tuple[Subjects, Tensor]:
        """The subjects of this step and their objects: all, or one of each text where the variant says so."""
        if not (self.variant.one_subject and self.training):
            return Subjects(*subjects.T.contiguous()), objects
        luck = torch.rand(len(subjects), device=subjects.device)
        best = luck.new_zeros(batch).scatter_reduce(0, subjects[:, 0], luck, "amax")
        chosen = luck == best[subjects[:, 0]]
        row = chosen.cumsum(0) - 1
        objects = objects[chosen[objects[:, 0]]]
        return Subjects(*subjects[chosen].T.contiguous()), torch.cat((row[objects[:, :1]], objects[:, 1:]), 1)


@dataclass(frozen=True)
class _Search:
    """What the search for the objects of one text needs to know of the batch."""

    head: CasRel
    hidden: Tensor
    mask: Tensor
    tagged: PointerTagScores
    floor: float
    reach: Reach

    def of_text(self, text: int, spans: Spans, budget: int) -> Candidates:
        """The spans, the best triples, and the objects of these that were no spans yet."""
        labels, device = self.head.labels, self.mask.device
        of_subjects = labels.subjects.any(0).to(device)
        rows = of_subjects[spans.places[:, 0]].nonzero()[:, 0]
        floor, cut = self.floor, False
        size = max(1, decoding.BLOCK_ELEMENTS // (2 * len(labels.predicates) * self.mask.shape[1] or 1))
        found = spans.places.new_zeros((0, 4)), spans.scores.new_zeros((0, 3))
        for chunk in rows.split(size):
            triples, scores = self._objects(text, spans, chunk, floor)
            found = torch.cat((found[0], triples)), torch.cat((found[1], scores))
            best = best_of(found[1].amin(1), budget)
            cut |= len(best) < len(found[0])
            found = found[0][best], found[1][best]
            if cut:  # what is no better than the worst of these cannot get in any more
                floor = max(floor, float(found[1].amin())) if budget else math.inf
        spans, triples = self._with_objects(text, spans, *found)
        return candidates(spans, triples, found[1], cut=cut)

    def _objects(self, text: int, spans: Spans, rows: Tensor, floor: float) -> tuple[Tensor, Tensor]:
        """(row of the subject, predicate, start, end) of the objects of these subjects, and three scores of each."""
        labels = self.head.labels
        label, start, end = spans.places[rows].unbind(1)
        tags = self.head.object_tags(self.hidden[text : text + 1], Subjects(torch.zeros_like(start), start, end))
        scores = self.head.variant.objects.scores(tags)
        starts, ends = (of.masked_fill(~self.mask[text], -torch.inf).flatten(0, 1) for of in scores)
        places, two = nearest_pairs(starts, ends, floor, self.reach.span_width or self.mask.shape[1])
        subject, predicate = places[:, 0] // len(labels.predicates), places[:, 0] % len(labels.predicates)
        weakest = torch.minimum(two.amin(1), spans.scores[rows[subject]])
        kept = (weakest > floor) & labels.subjects.to(label.device)[predicate, label[subject]]
        kept &= labels.objects.any(1).to(label.device)[predicate]
        kept &= self.reach.near(text, start[subject], places[:, 1]) & self.reach.whole(text, places[:, 1], places[:, 2])
        subject, predicate, places, two = subject[kept], predicate[kept], places[kept], two[kept]
        triples = torch.stack((rows[subject], predicate, places[:, 1], places[:, 2]), 1)
        return triples, torch.cat((spans.scores[rows[subject], None], two), 1)

    def _with_objects(self, text: int, spans: Spans, triples: Tensor, scores: Tensor) -> tuple[Spans, Tensor]:
        """The spans with the objects among them, each as sure as the surest triple it stands in, and the triples as
        (row of subject, predicate, row of object)."""
        subject, predicate, start, end = triples.unbind(1)
        label = self._likeliest(text, predicate, start, end)
        keys, object_keys = self._number(*spans.places.unbind(1)), self._number(label, start, end)
        added = torch.unique(object_keys[~torch.isin(object_keys, keys)])
        order = (keys := torch.cat((keys, added))).argsort()
        row = order[torch.searchsorted(keys[order], object_keys)]
        shape = (self.tagged.num_labels, *2 * self.mask.shape[1:])
        places = torch.cat((spans.places, torch.stack(torch.unravel_index(added, shape), 1)))
        sure = torch.cat((spans.scores, spans.scores.new_full((len(added),), -torch.inf)))
        sure = sure.scatter_reduce(0, row, scores.amin(1), "amax")
        return Spans(places, sure, spans.cut), torch.stack((subject, predicate, row), 1)

    def _likeliest(self, text: int, predicate: Tensor, start: Tensor, end: Tensor) -> Int[Tensor, " n"]:
        """Of the labels that may stand there the one with the best tags."""
        allowed = self.head.labels.objects.to(predicate.device)[predicate].T
        return self.tagged.pairs(text, start, end).masked_fill(~allowed, -torch.inf).argmax(0)

    def _number(self, label: Tensor, start: Tensor, end: Tensor) -> Int[Tensor, " n"]:
        seq = self.mask.shape[1]
        return (label * seq + start) * seq + end


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _tags(positives: Int[Tensor, "n 4"], like: Float[Tensor, "groups labels kind seq"]) -> Tensor:
    """1 at the start tag and at the end tag of every positive (group, label, start, end)."""
    group, label, start, end = positives.unbind(1)
    tags = torch.zeros_like(like)
    tags[group, label, 0, start] = 1
    tags[group, label, 1, end] = 1
    return tags


def _tag_loss(logits: Tensor, tags: Tensor, mask: Tensor) -> Float[Tensor, " groups"]:
    """The cross-entropy of each group, summed over its labels, kinds and tokens."""
    loss = nn.functional.binary_cross_entropy_with_logits(logits, tags, reduction="none")
    return loss.masked_fill(~mask[:, None, None], 0).flatten(1).sum(1)

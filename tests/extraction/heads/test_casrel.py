"""CasRel's parts: powers, thresholds, how a subject is told, which subjects a step trains on."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from kexue.extraction.decoding import Bounds
from kexue.extraction.heads.casrel import VARIANTS, Added, CasRel, Modulated, Subjects, TagRule
from kexue.extraction.links import Links, SpanLabels
from kexue.extraction.reach import Reach
from tests.extraction.heads.test_contract import DIM, SCHEMA, new_head, padded, scored, texts_of

SUBJECTS = Subjects(torch.tensor([0, 0, 2]), torch.tensor([1, 3, 0]), torch.tensor([2, 3, 1]))


@pytest.mark.parametrize("power", [1, 2, 4])
def test_a_power_of_the_sigmoid_has_the_logit_of_its_probability(power: int):
    x = torch.linspace(-8, 8, 33, dtype=torch.double)
    assert_close(TagRule(power).logits(x).sigmoid(), x.sigmoid() ** power)


@pytest.mark.parametrize("x", [-200.0, 200.0])
def test_a_power_of_a_very_sure_sigmoid_keeps_its_gradient(x: float):
    sure = torch.tensor(x, requires_grad=True)
    logit = TagRule(4).logits(sure)
    logit.backward()
    assert logit.isfinite() and sure.grad == pytest.approx(1.0 if x > 0 else 4.0)


def test_scores_are_above_0_where_probabilities_are_above_their_thresholds():
    x = torch.randn(2, 50)
    start, end = TagRule(2, 0.6, 0.3).scores(x)
    assert torch.equal(start > 0, x[0].sigmoid() ** 2 > 0.6)
    assert torch.equal(end > 0, x[1].sigmoid() ** 2 > 0.3)


def test_the_modulated_tags_are_those_of_a_conditional_layer_normalisation():
    torch.manual_seed(0)
    layer, hidden = Modulated(DIM, 6), torch.randn(3, 5, DIM)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    ends = torch.cat((hidden[SUBJECTS.text, SUBJECTS.start], hidden[SUBJECTS.text, SUBJECTS.end]), -1)
    conditioned = layer.norm(hidden)[SUBJECTS.text] * layer.gain(ends)[:, None] + layer.shift(ends)[:, None]
    assert_close(layer(hidden, SUBJECTS), layer.tags(conditioned).mT, rtol=1e-4, atol=1e-3)


def test_the_modulation_begins_as_a_plain_layer_normalisation():
    layer, hidden = Modulated(DIM, 6), torch.randn(3, 5, DIM)
    assert_close(layer(hidden, SUBJECTS), layer.tags(layer.norm(hidden)).mT[SUBJECTS.text])


def test_the_added_tags_are_those_of_the_token_plus_the_mean_of_the_subject():
    torch.manual_seed(0)
    layer, hidden = Added(DIM, 6), torch.randn(3, 5, DIM)
    mean = torch.stack([hidden[t, s : e + 1].mean(0) for t, s, e in zip(*SUBJECTS, strict=True)])
    assert_close(layer(hidden, SUBJECTS), layer.tags(hidden[SUBJECTS.text] + mean[:, None]).mT, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_published_way_to_tell_a_subject_leaves_the_order_of_the_tokens_as_it_is():
    torch.manual_seed(0)
    layer, hidden = Added(DIM, 6), torch.randn(1, 5, DIM)
    one, other = (layer(hidden, Subjects(torch.tensor([0]), torch.tensor([k]), torch.tensor([k])))[0] for k in (0, 3))
    assert torch.equal(one.argsort(1), other.argsort(1)) and not torch.allclose(one, other)


LINKS = Links(
    spans=[(0, 0, 0), (0, 2, 2), (1, 4, 4)],
    triples=[(0, 0, 0, 4, 4), (1, 0, 0, 4, 4), (0, 2, 2, 4, 4)],
)


def test_every_subject_of_a_batch_has_one_row_whatever_it_is_subject_of():
    targets = CasRel.targets([LINKS, Links(), LINKS])
    assert targets["subjects"].tolist() == [[0, 0, 0], [0, 2, 2], [2, 0, 0], [2, 2, 2]]
    assert targets["object_positives"].tolist() == [
        [0, 0, 4, 4],
        [0, 1, 4, 4],
        [1, 0, 4, 4],
        [2, 0, 4, 4],
        [2, 1, 4, 4],
        [3, 0, 4, 4],
    ]


def test_training_on_one_subject_is_on_average_training_on_all_of_a_text():
    """With two subjects a text, twice the mean of what one costs is what both cost."""
    torch.manual_seed(0)
    head = CasRel(DIM, SpanLabels(SCHEMA), casrel="wei2020")
    hidden, mask = padded(texts_of(6, 6), 6)
    targets = CasRel.targets([LINKS, LINKS])
    no_subjects = targets | {"subjects": targets["subjects"][:0], "object_positives": targets["object_positives"][:0]}
    with torch.no_grad():
        spans = head.eval().loss(hidden, mask, no_subjects)
        both = head.loss(hidden, mask, targets) - spans
        one = torch.stack([head.train().loss(hidden, mask, targets) - spans for _ in range(400)])
    assert len(one.round(decimals=3).unique(dim=0)) == 4  # either subject of either text
    assert_close(2 * one.mean(0), both, rtol=0.02, atol=0.0)


@torch.no_grad()
def test_an_object_of_no_triple_within_reach_is_no_span_and_makes_none_surer():
    head, (hidden, mask) = new_head("casrel"), padded(texts_of(14), 14)
    numbers, parts = torch.tensor([[0] * 5 + [1] * 9]), torch.tensor([[0] * 2 + [1] * 12])
    reach = Reach(sentence_distance=0, numbers=numbers, parts=parts)
    (tagged, _), (spans, triples) = (
        scored(head.decode(hidden, mask, bounds=Bounds(10**6, 0, budget, 0), reach=reach)[0]) for budget in (0, 10**6)
    )
    surest = {}
    for (_, _, object_), scores in triples.items():
        surest[object_] = max(surest.get(object_, -torch.inf), *[min(scores)])
    expected = {span: max(tagged.get(span, -torch.inf), surest.get(span, -torch.inf)) for span in {**tagged, **surest}}
    assert spans == pytest.approx(expected) and surest.keys() - tagged.keys()
    anywhere = scored(head.decode(hidden, mask, bounds=Bounds(10**6, 0, 10**6, 0))[0])[0]
    assert spans.keys() < anywhere.keys()


def test_the_published_variants_are_named():
    assert VARIANTS["su2020"].spans == TagRule(2, 0.6, 0.5) and VARIANTS["su2020"].objects.power == 4
    assert VARIANTS["wei2020"].telling is Added and VARIANTS["wei2020"].one_subject
    assert not VARIANTS["all"].one_subject

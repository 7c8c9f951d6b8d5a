"""What is suggested for annotation is what would tell most, counted by hand; nothing twice, nothing known."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.errors import OptionError
from kexue.extraction.document import Document
from kexue.pipelines.extractor import Extractor
from kexue.pipelines.suggestions import NEAR, Doubt, choose, doubts, suggest, total
from tests.extraction.tiny import TEXTS, tiny_checkpoint
from tests.training.tiny import sentences


@pytest.fixture
def untrained() -> Extractor:
    return Extractor(tiny_checkpoint(), device="cpu")


def entropy(p: float) -> float:
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def by_hand(extractor: Extractor, text: str) -> float:
    """The definition, fact by fact, from the document that reports every candidate."""
    everything = extractor.with_threshold(0.0)(text)
    facts = [(span.score, extractor.decision.entity_threshold) for span in everything.entities]
    facts += [(fact.score, extractor.decision.threshold(fact.predicate)) for fact in everything.relations]
    return sum(
        entropy(p)
        for p, threshold in facts
        if p and p < 1 and 1 / NEAR <= p / (1 - p) * (1 - threshold) / threshold <= NEAR
    )


@pytest.mark.parametrize("text", [*TEXTS, "", "😀 Marie 👩‍🔬 was born in Łódź. 居里夫人"])
def test_the_uncertainty_of_a_text_is_the_sum_of_the_entropies_of_its_undecided_facts(untrained: Extractor, text: str):
    (found,) = untrained.candidates([text])
    ours = total(doubts(untrained, text, found))
    assert ours == pytest.approx(by_hand(untrained, text), rel=1e-6)
    assert bool(text.strip()) == (ours > 0)  # an untrained model is in doubt of everything


def test_what_a_model_knows_by_heart_is_suggested_after_what_it_has_never_seen(extractor: Extractor):
    known, new = sentences(10), [item for item in sentences(40) if item not in sentences(10)]
    ranked = suggest(extractor, [*known, *new], diversity=1.0).chosen
    place = {item.document.text: index for index, item in enumerate(ranked)}
    mean = [np.mean([place[item.text] for item in part]) for part in (new, known)]
    assert mean[0] < mean[1]
    uncertainties = [item.uncertainty for item in ranked]
    assert uncertainties == sorted(uncertainties, reverse=True)
    assert [item.certainty for item in ranked] == sorted(item.certainty for item in ranked)
    assert all(0 < item.certainty <= 1 for item in ranked)


def test_a_suggestion_shows_what_the_model_reports_and_keeps_id_and_meta(extractor: Extractor):
    (item,) = suggest(extractor, [Document(sentences(1)[0].text, id="a7", meta={"page": 3})]).chosen
    assert item.document.relations == extractor(sentences(1)[0].text).relations != []
    assert (item.document.id, item.document.meta) == ("a7", {"page": 3})


def test_what_is_annotated_already_or_stands_twice_is_left_out_and_counted(untrained: Extractor):
    pool = [Document(text) for text in (*TEXTS, TEXTS[0], TEXTS[0])]
    found = suggest(untrained, pool, known={TEXTS[1]})
    assert sorted(item.document.text for item in found.chosen) == sorted((TEXTS[0], TEXTS[2], TEXTS[3]))
    assert (found.known, found.twice) == (1, 2)


def test_gold_that_the_pool_brings_along_is_no_suggestion(extractor: Extractor):
    gold = sentences(30)[-1]
    (item,) = suggest(extractor, [gold]).chosen
    assert item.document.relations == extractor(gold.text).relations


def test_counted_per_character_a_text_does_not_win_by_its_length(untrained: Extractor):
    short, long = Document(TEXTS[0]), Document(f"{TEXTS[0]} {'Nothing. ' * 60}{TEXTS[2]}")
    assert suggest(untrained, [short, long], num=1).chosen[0].document.text == long.text
    assert suggest(untrained, [short, long], num=1, per="character", diversity=1.0).chosen[0].document.text == (
        max((short, long), key=lambda item: by_hand(untrained, item.text) / (len(item.text) + 20)).text
    )


DOUBTS = st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0.01, 1.0)), max_size=4), max_size=5)


@given(DOUBTS, st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_each_choice_adds_most_to_those_before_it(drawn: list[list[tuple[str, float]]], diversity: float):
    texts = [[Doubt((key,), bits) for key, bits in own] for own in drawn]

    def gain(index: int, before: list[int]) -> float:
        asked = [{doubt.key for doubt in texts[other]} for other in before]
        return sum(bits * diversity ** sum(key in keys for keys in asked) for key, bits in texts[index])

    order = choose(texts, len(texts), diversity)
    assert sorted(order) == list(range(len(texts)))
    for place, index in enumerate(order):
        others = order[place:]
        assert gain(index, order[:place]) == pytest.approx(max(gain(other, order[:place]) for other in others))


def test_near_duplicates_are_not_chosen_one_after_the_other():
    twins = [[Doubt(("drug", "aspirin"), 1.0), Doubt(("effect", "rash"), 0.9)]] * 2
    other = [Doubt(("drug", "warfarin"), 1.2)]
    assert choose([*twins, other], 2, diversity=1.0) == [0, 1]
    assert choose([*twins, other], 2, diversity=0.5) == [0, 2]
    for order in permutations(range(3)):
        texts = [[*twins, other][index] for index in order]
        assert {id(texts[index]) for index in choose(texts, 2, diversity=0.5)} == {id(twins[0]), id(other)}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"diversity": 1.5}, "from 0 to 1, got 1.5"), ({"per": "texts"}, "Did you mean 'text'")],
)
def test_values_that_are_not_allowed_are_refused(untrained: Extractor, options: dict, message: str):
    with pytest.raises(OptionError, match=message):
        suggest(untrained, [], **options)

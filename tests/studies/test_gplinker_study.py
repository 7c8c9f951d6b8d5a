"""The study of GPLinker: forms of its loss, its rule against exhaustive counting, and the page that it writes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from kexue.studies import StudyOptions, run_study
from kexue.studies.gplinker import counting, forms, imbalance, links
from kexue.studies.lab import Lab


def quick(folder: Path) -> Lab:
    return Lab("some", StudyOptions(folder, quick=True, say=lambda line: None, device="cpu"))


def test_counts_are_those_of_the_article(tmp_path: Path):
    result = counting.measure(quick(tmp_path))
    assert (result["standard"], result["efficient"]) == (9_843_200, 321_096)
    assert result["labels"] == 104_857_600 and result["first"] == pytest.approx(9.7041, abs=1e-4)


def test_all_forms_of_the_loss_agree_in_float64(tmp_path: Path):
    assert max(forms._equal(quick(tmp_path)).values()) < 1e-12


def test_the_published_form_is_wrong_where_it_was_found_to_be():
    rows = {row["score"]: row for row in forms._precision()}
    assert rows[14.44]["published"] == pytest.approx(-1.68, abs=0.02) and rows[14.44]["pull"] > 0.9
    assert rows[5.0]["published"] == pytest.approx(rows[5.0]["truth"], rel=0.01)
    assert all(row["ours"] == pytest.approx(row["truth"], rel=1e-5) for row in rows.values())


def test_a_batch_has_the_same_labels_in_every_form():
    case = forms.make(5, 12, 4, 0)
    dense = torch.zeros_like(case.targets(), dtype=torch.bool)
    text, label, slot = (case.indices() >= 0).nonzero().unbind(1)
    dense[text, label, case.indices()[text, label, slot]] = True
    assert torch.equal(dense, case.targets()) and dense.sum() == len(case.positives)


def test_the_rule_joins_crosswise_where_spans_share_starts_and_ends():
    gold = {("p", (0, 1), (1, 1)), ("p", (0, 0), (0, 1))}  # the smallest example there is
    assert gold < links.decode(gold, ends=True)
    flat = {("p", (0, 1), (2, 2)), ("p", (2, 2), (3, 4)), ("q", (0, 1), (3, 4))}
    assert links.decode(flat, ends=True) == flat == links.decode(flat, ends=False)
    nested = {("p", (0, 1), (5, 5)), ("p", (0, 2), (6, 6))}
    assert links.decode(nested, ends=True) == nested < links.decode(nested, ends=False)


def test_random_triples_are_flat_where_asked_for():
    import random

    triples = [t for seed in range(20) for t in links._random(random.Random(seed), 30, 10, 5, nested=False)]
    assert all(0 <= start <= end < 30 for _, subject, object_ in triples for start, end in (subject, object_))
    one = links._random(random.Random(1), 30, 40, 5, nested=False)
    spans = sorted({span for _, subject, object_ in one for span in (subject, object_)})
    assert all(first[1] < second[0] for first, second in pairwise(spans))


def test_gradients_are_balanced_by_the_multi_label_loss_and_not_by_the_binary_one():
    found = imbalance._gradients()
    assert found["multi-label"]["1,000,000"] == pytest.approx(4 / 3, rel=1e-3)  # 1 over 3 / 4
    assert found["binary"]["1,000,000"] == pytest.approx((1e6 - 3) / 3, rel=1e-3)
    assert found["binary, positives weighted"]["1,000,000"] == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("name", imbalance.LOSSES)
def test_every_loss_counts_classes_only(name: str):
    scores = torch.randn(1, 2, 9, generator=torch.Generator().manual_seed(0))
    targets = torch.zeros(1, 2, 9, dtype=torch.bool)
    targets[..., 1] = True
    classes = torch.ones_like(targets)
    classes[..., 4:] = False
    cut = imbalance.LOSSES[name](scores[..., :4], targets[..., :4], classes[..., :4])
    torch.testing.assert_close(imbalance.LOSSES[name](scores, targets, classes), cut)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    world = imbalance.prepare(quick(tmp_path_factory.mktemp("world")))
    return world, imbalance.train(world, imbalance.multi_label, 40, 0)


def test_a_head_learns_what_it_was_shown(trained):
    world, head = trained
    found = imbalance._tested(head, world.train, sums=True)
    assert found["spans"] > 0.8 and found["triples"] > 0.5
    assert found["triples precision"] <= 1 and found["triples recall"] <= 1


def test_what_has_all_four_scores_above_zero_has_a_sum_above_zero(trained):
    world, head = trained
    batch = world.train[0]
    with torch.no_grad():
        strict = [imbalance._triples(found) for found in head.decode(batch.hidden, batch.mask)]
        loose = [imbalance._by_sum(head, batch, index) for index in range(len(batch.mask))]
    assert any(strict) and all(one <= other for one, other in zip(strict, loose, strict=True))


def test_a_quick_run_writes_the_page(tmp_path: Path):
    page = run_study("gplinker", StudyOptions(tmp_path, quick=True, say=lambda line: None, device="cpu"))
    text = page.read_text("utf-8")
    for heading in (
        "Question",
        "What is counted",
        "The loss in four forms",
        "The rule, given the right scores",
        "Verdict",
    ):
        assert f"## {heading}\n" in text

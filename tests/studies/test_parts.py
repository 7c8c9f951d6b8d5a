"""What all studies of parts share: results are kept, a verdict is one of three, a page has every part and claim."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from kexue.errors import OptionError
from kexue.studies import STUDIES, StudyOptions
from kexue.studies.claims import CONDITIONS, FAILS, HOLDS, OPEN, Claim, judge
from kexue.studies.kept import kept_bytes
from kexue.studies.lab import Lab
from kexue.studies.page import Page
from kexue.studies.parts import Study, run_parts


def lab(folder: Path, **options: object) -> Lab:
    return Lab("some", StudyOptions(folder, say=lambda line: None, device="cpu", **options))  # type: ignore[arg-type]


def test_what_has_been_measured_is_not_measured_again(tmp_path: Path):
    made = []
    for _ in range(2):
        assert lab(tmp_path).keep("a", lambda: made.append(1) or {"x": [1.5]}) == {"x": [1.5]}
    assert made == [1]


def test_a_result_counts_for_the_same_scale_and_seed_only(tmp_path: Path):
    lab(tmp_path).keep("a", lambda: 1)
    assert lab(tmp_path, seed=1).keep("a", lambda: 2) == 2
    assert lab(tmp_path, quick=True).keep("a", lambda: 3) == 3
    assert lab(tmp_path).keep("a", lambda: 4) == 1


def test_a_part_that_failed_leaves_nothing_and_what_came_before_stays(tmp_path: Path):
    first = lab(tmp_path)
    first.keep("a", lambda: 1)
    with pytest.raises(ZeroDivisionError):
        first.keep("b", lambda: 1 / 0)
    assert list(lab(tmp_path).done) == ["a"]


def test_the_time_of_a_part_within_a_part_counts_once(tmp_path: Path):
    one = lab(tmp_path)

    def work() -> float:
        return sum(i * 0.5 for i in range(400_000))

    one.keep("outer", lambda: one.keep("inner", work))
    lines = [json.loads(line) for line in one.path.read_text("utf-8").splitlines()]
    assert [line["part"] for line in lines] == ["inner", "outer"]
    assert lines[1]["seconds"] < lines[0]["seconds"] / 2
    assert one.seconds == pytest.approx(sum(line["seconds"] for line in lines)) == lab(tmp_path).seconds


def test_the_scale_decides_and_a_long_run_falls_back_to_the_full_one(tmp_path: Path):
    assert lab(tmp_path, quick=True).pick(1, 2, 3) == 1
    assert lab(tmp_path).pick(1, 2, 3) == 2
    assert lab(tmp_path, long=True).pick(1, 2, 3) == 3
    assert lab(tmp_path, long=True).pick(1, 2) == 2
    with pytest.raises(OptionError, match="not both"):
        StudyOptions(tmp_path, quick=True, long=True)


def test_random_numbers_differ_by_stream_and_seed_and_by_nothing_else(tmp_path: Path):
    draws = [lab(tmp_path, seed=seed).generator(stream).initial_seed() for seed in (0, 1) for stream in (0, 1, 0)]
    assert draws[0] == draws[2] and len(set(draws)) == 4


def test_the_verdict_follows_from_what_was_measured():
    assert [judge("x", holds, "y", partly=partly).verdict for holds, partly in ((1, 1), (0, 1), (0, 0))] == [
        HOLDS,
        CONDITIONS,
        FAILS,
    ]
    assert judge("x", True, "y", decides=False).verdict == OPEN
    with pytest.raises(ValueError, match="four verdicts"):
        Claim("x", "perhaps", "y")


def test_a_page_has_every_part_in_order_and_every_claim(tmp_path: Path):
    def part(name: str) -> SimpleNamespace:
        def show(result: int, page: Page, pictures: object) -> list[Claim]:
            page.heading(f"{name} {result}")
            return [judge(f"p({name}|x)", True, "measured")]

        return SimpleNamespace(__name__=f"some.{name}", measure=lambda lab: 7, show=show)

    study = Study("some", "Title", "Question?", "Claims.", (part("one"), part("two")), beyond="Not this.")
    page = run_parts(study, StudyOptions(tmp_path, say=lambda line: None, device="cpu"))  # type: ignore[arg-type]
    text = page.read_text("utf-8")
    marks = [
        "# Title",
        "Question?",
        "Claims.",
        "## one 7",
        "## two 7",
        "## Verdict",
        r"p(one\|x)",
        "Not this.",
        "--seed 0",
    ]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert "kexue study some --seed 0 --device cpu" in text and "--full" not in text


def test_every_study_has_a_module_of_its_name():
    from importlib import import_module

    for name in STUDIES:
        module = import_module(f"kexue.studies.{name.replace('-', '_')}")
        assert callable(module.run)
        assert getattr(module, "STUDY", SimpleNamespace(name=name)).name == name


def test_kept_memory_is_that_of_what_the_gradient_needs():
    import torch

    x, w = torch.randn(100, 10, requires_grad=True), torch.randn(10, requires_grad=True)
    assert kept_bytes(lambda: (x * w).exp().sum(), [w]) == 100 * 10 * 4 * 2  # x and the exponentials
    assert kept_bytes(lambda: (x * w).exp().sum(), [w, x]) == 100 * 10 * 4


def test_a_study_that_was_stopped_has_a_page_that_says_what_is_missing(tmp_path: Path):
    def show(result: int, page: Page, pictures: object) -> list[Claim]:
        return [judge(f"measured {result}", True, "yes")]

    first = SimpleNamespace(__name__="some.first_one", measure=lambda lab: 7, show=show)
    second = SimpleNamespace(__name__="some.second_one", measure=lambda lab: 1 / 0, show=show)
    study = Study("some", "Title", "Question?", "Claims.", (first, second))
    options = StudyOptions(tmp_path, say=lambda line: None, device="cpu")
    with pytest.raises(ZeroDivisionError):
        run_parts(study, options)
    assert "measured 7" in (text := (tmp_path / "some.md").read_text("utf-8"))
    assert "Still to be measured by the command below: second one." in text
    second.measure = lambda lab: 8
    text = run_parts(study, options).read_text("utf-8")
    assert "measured 7" in text and "measured 8" in text and "Still to be" not in text

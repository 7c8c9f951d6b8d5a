"""DuEE and PHEE: triggers and arguments where the text shows them, and what it does not show stays in the count."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexue.errors import DataError
from kexue.extraction.document import Argument, Event, Span
from kexue.extraction.formats import duee, phee
from tests.extraction.formats.samples import OTHERS, write_lines

LEFT, CURIE = Argument("trigger", Span(12, 16)), Span(0, 11)


def test_a_trigger_of_duee_is_an_argument(tmp_path: Path):
    (document,) = duee.read(write_lines(tmp_path / "x.json", OTHERS["duee"]))
    assert document.events == [Event("move", (LEFT, Argument("who", CURIE)))]


def test_a_part_of_an_argument_of_phee_has_the_role_of_both_and_its_pieces_are_one_span(tmp_path: Path):
    (document,) = phee.read(write_lines(tmp_path / "x.json", OTHERS["phee"]))
    pieces = Span(0, 25, fragments=((0, 5), (24, 25)))
    assert document.events == [Event("move", (LEFT, Argument("Who", CURIE), Argument("Who.Name", pieces)))]


@pytest.mark.parametrize("start", [1, -11, 400])
def test_an_event_that_the_text_does_not_show_is_kept_as_unaligned(tmp_path: Path, start: int):
    event = OTHERS["duee"]["event_list"][0]
    argument = event["arguments"][0] | {"argument_start_index": start}
    record = OTHERS["duee"] | {"event_list": [event | {"arguments": [argument]}]}
    (document,) = duee.read(write_lines(tmp_path / "x.json", record))
    assert not document.events
    assert [(item.kind, item.label, item.strings) for item in document.unaligned] == [
        ("event", "move", ("left", "Marie Curie"))
    ]


def test_a_record_of_another_shape_names_its_line(tmp_path: Path):
    path = write_lines(tmp_path / "x.json", OTHERS["duee"], {"text": "a", "event_list": [{"event_typ": "b"}]})
    with pytest.raises(DataError, match=r"x.json:2: an event lacks 'event_type'"):
        list(duee.read(path))


def test_the_published_counts_of_duee_are_read(shared_data: Path):
    documents = list(duee.read(shared_data / "duee_dev" / "duee_dev.json"))
    events = [event for document in documents for event in document.events]
    arguments = [item for event in events for item in event.arguments if item.role != "trigger"]
    assert (len(documents), len(events), len({event.type for event in events}), len(arguments)) == (
        1492,
        1783,
        65,
        3682,
    )
    assert not any(document.unaligned for document in documents)


@pytest.mark.parametrize(("split", "sentences", "triggers"), [("dev", 961, 1003), ("test", 968, 1010)])
def test_the_published_counts_of_phee_are_read(shared_data: Path, split: str, sentences: int, triggers: int):
    documents = list(phee.read(shared_data / "phee" / f"{split}.json"))
    found = [item.role for document in documents for event in document.events for item in event.arguments]
    assert (len(documents), found.count("trigger")) == (sentences, triggers)
    assert not any(document.unaligned for document in documents)

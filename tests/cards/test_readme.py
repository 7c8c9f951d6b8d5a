"""What a person wrote into a card stays when it is written again, to the byte; what we wrote is brought up to date."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from kexue.cards.readme import FENCED, LAST, merge, split

VALUES = {"library_name": "kexue", "tags": ["kexue", "gplinker"], "language": ["en"]}
TEXT = "# mine\n\nA model.\n"


def matter(card: str) -> dict:
    fenced = FENCED.match(card)
    return yaml.safe_load(fenced[1]) if fenced else {}


def test_a_new_card_has_front_matter_and_text():
    card = merge("", VALUES, TEXT)
    assert matter(card) == VALUES and list(matter(card)) == list(VALUES)
    assert TEXT in card and card.startswith("---\n") and card.endswith(LAST)


def test_writing_again_changes_nothing():
    card = merge("", VALUES, TEXT)
    assert merge(card, VALUES, TEXT) == card
    newer = merge(card, VALUES | {"language": ["zh"]}, "# mine\n\nBetter.\n")
    assert merge(newer, VALUES | {"language": ["zh"]}, "# mine\n\nBetter.\n") == newer
    assert matter(newer)["language"] == ["zh"] and "Better." in newer and "A model." not in newer
    assert newer.count("kexue begin") == newer.count("kexue end") == 1


def test_keys_that_a_person_changed_added_or_removed_stay_theirs():
    card = merge("", VALUES, TEXT)
    edited = card.replace("- gplinker", "- pharmacy").replace("library_name: kexue\n", "license: mit # of the model\n")
    again = merge(edited, VALUES | {"language": ["en", "zh"]}, TEXT)
    assert matter(again) == {"license": "mit", "tags": ["kexue", "pharmacy"], "language": ["en", "zh"]}
    assert merge(again, VALUES | {"language": ["en", "zh"]}, TEXT) == again


def test_front_matter_with_nothing_new_keeps_its_comments():
    edited = merge("", VALUES, TEXT).replace("library_name: kexue\n", "library_name: kexue  # do not touch\n")
    assert "# do not touch" in merge(edited, VALUES, "# mine\n\nOther text.\n")


def test_a_key_that_we_no_longer_write_goes():
    card = merge("", VALUES, TEXT)
    assert "language" not in matter(merge(card, {"library_name": "kexue"}, TEXT))


def test_a_card_that_we_never_wrote_is_kept_whole_before_ours():
    own = "---\nlicense: apache-2.0\n---\n# Our model\n\nRead this first.\n"
    card = merge(own, VALUES, TEXT)
    assert matter(card) == VALUES | {"license": "apache-2.0"}
    assert card.index("# Our model\n\nRead this first.\n") < card.index("kexue begin")
    assert merge(card, VALUES, TEXT) == card


def test_front_matter_that_is_no_yaml_is_left_as_it_is():
    broken = "---\nlicense: [mit\n---\n# Mine\n"
    card = merge(broken, VALUES, TEXT)
    assert card.startswith("---\nlicense: [mit\n---\n") and TEXT in card
    assert merge(card, VALUES, TEXT) == card


def test_damaged_marks_cost_nothing_that_a_person_wrote():
    card = merge("", VALUES, TEXT)
    for damaged in (card.replace("kexue end", "kexue ende"), card.replace('{"language"', '{"langu'), card[:-30]):
        again = merge(damaged, VALUES, TEXT)
        assert TEXT in again and again.endswith(LAST)


# Anything that is not itself a mark, or a fence that would be front matter.
PROSE = st.text(st.characters(codec="utf-8", exclude_characters="<-"), max_size=60)


@given(before=PROSE, after=PROSE, new=PROSE)
def test_prose_around_our_part_stays_to_the_letter(before: str, after: str, new: str):
    first, _, rest = merge("", VALUES, TEXT).partition("<!-- kexue begin")
    card = f"{first}{before}<!-- kexue begin{rest}{after}"
    parts = split(merge(card, VALUES, f"# mine\n\n{new}\n"))
    assert parts.before == split(card).before and parts.before.endswith(before)
    assert parts.after == after

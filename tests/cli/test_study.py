"""`kexue study` lists the studies, and refuses what it cannot run in one line."""

from __future__ import annotations

import pytest

from kexue.studies import STUDIES
from tests.commands import Command


def test_without_a_name_the_studies_are_listed(kexue: Command):
    shown = kexue("study")
    assert shown.code == 0
    assert [line.split(":")[0] for line in shown.out.splitlines()] == list(STUDIES)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["distribution"], "Did you mean 'distributions'"),
        (["distributions", "--data", "webnlg"], "--data takes NAME=FOLDER"),
        (["distributions", "--data", "webnlg=nowhere"], "nowhere: is not a folder"),
    ],
)
def test_a_mistake_ends_in_one_line(kexue: Command, arguments: list[str], complaint: str):
    assert complaint in kexue("study", *arguments).complaint

"""A model card in every model folder: what the model is, what it was made of, how well it does, how to load it.

`README.md` is written from what the folder holds (`kexue.json`, `evaluations.json`), so the same folder gives the same
card. What a person writes above or below our part stays, and so does what they change in the front matter.
"""

from kexue.cards.evaluations import add_evaluation, read_evaluations
from kexue.cards.facts import Facts, dev_report, kind_of, read_facts
from kexue.cards.readme import write_card
from kexue.cards.template import provenance_lines
from kexue.cards.writing import model_folder

__all__ = [
    "Facts",
    "add_evaluation",
    "dev_report",
    "kind_of",
    "model_folder",
    "provenance_lines",
    "read_evaluations",
    "read_facts",
    "write_card",
]

"""GPLinker (archives/8888): its counts, its loss in four forms, its rule for triples, its balance of classes."""

from __future__ import annotations

from pathlib import Path

from kexue.studies.gplinker import counting, forms, imbalance, links
from kexue.studies.options import StudyOptions
from kexue.studies.parts import Study, run_parts

DATA = ("conll04", "minilm")
STUDY = Study(
    name="gplinker",
    title="GPLinker: joint extraction by token pairs",
    question="""Triples are found by scoring pairs of tokens. Do the four terms say which triples there are? What do the
    sparse loss, the efficient head and the multi-label loss bring, and at what price?""",
    claimed="""Su Jianlin, [archives/8888](https://kexue.fm/archives/8888) (2022): a triple is five numbers, whose
    score is cut into four terms, each trained by itself; a triple is found where all four are above 0. Without nested
    spans the links of starts would do. The efficient GlobalPointer has about 300 thousand weights in place of close
    to 10 million. The sparse form of the loss, which is given the indices of positives, trains 1.5 times faster than
    the dense one without loss of accuracy. [archives/7359](https://kexue.fm/archives/7359): the loss balances few
    positives and many negatives by itself. What it reaches beside CasRel and TPLinker, with and without rotary
    positions, standard and efficient, subjects and objects apart or merged, is measured by `kexue study heads`.""",
    parts=(counting, forms, links, imbalance),
)


def run(options: StudyOptions) -> Path:
    """Measure what is not there yet, write the page, and return its path.

    Raises for a data set that is not known or not there.
    """
    return run_parts(STUDY, options, DATA)

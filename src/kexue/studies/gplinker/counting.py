"""What the article counts: candidates, weights of heads, labels in memory, the first loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from kexue.layers import EfficientGlobalPointer, GlobalPointer
from kexue.ops.multilabel import multilabel_cross_entropy
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

HIDDEN_DIM, HEAD_DIM, LENGTH, BATCH = 768, 64, 128, 64
NUM_PREDICATES = 49
"""Of the data set of the article, LIC2019."""


def measure(lab: Lab) -> Any:
    """All counts."""
    pairs = LENGTH * (LENGTH + 1) // 2
    zeros = torch.zeros(LENGTH**2)
    first = float(multilabel_cross_entropy(zeros, torch.zeros(LENGTH**2, dtype=torch.bool)))
    return {
        "quintuples": NUM_PREDICATES * pairs**2,
        "pairs": 2 * pairs + 2 * NUM_PREDICATES * LENGTH**2,
        "standard": _weights(GlobalPointer),
        "efficient": _weights(EfficientGlobalPointer),
        "labels": 2 * BATCH * 50 * LENGTH**2,
        "first": first,
    }


def _weights(scorer: Any) -> int:
    """Of the three heads of GPLinker."""
    heads = [scorer(HIDDEN_DIM, labels, HEAD_DIM) for labels in (2, NUM_PREDICATES, NUM_PREDICATES)]
    return sum(weight.numel() for head in heads for weight in head.parameters())


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """One table."""
    page.heading("What is counted")
    page.text(
        f"""For {NUM_PREDICATES} predicates, {LENGTH} tokens, hidden states of {HIDDEN_DIM}, head dimension
        {HEAD_DIM}; the weights are those of the modules of this package."""
    )
    page.table(
        ["", "number"],
        [
            ["candidates of the ideal model, one score for each quintuple", f"{result['quintuples']:,}"],
            ["scores of the factorised model", f"{result['pairs']:,}"],
            ["weights, standard GlobalPointer", f"{result['standard']:,}"],
            ["weights, efficient GlobalPointer", f"{result['efficient']:,}"],
            [f"numbers of dense labels, batch {BATCH}, 50 predicates", f"{result['labels']:,}"],
            ["loss of an untrained relation head", f"{result['first']:.4f}"],
        ],
    )
    return [
        judge(
            "The efficient head has about 300 thousand weights where the standard one has close to 10 million",
            290_000 < result["efficient"] < 340_000 and 9_500_000 < result["standard"] < 10_500_000,
            f"{result['efficient']:,} and {result['standard']:,}",
        ),
        judge(
            "Scoring every quintuple is out of reach, the four terms are not",
            result["quintuples"] > 1000 * result["pairs"],
            f"{result['quintuples']:,} scores against {result['pairs']:,}, {result['quintuples'] // result['pairs']:,} "
            "times fewer",
        ),
        judge(
            "The loss starts near 1000 and is summed over heads",
            abs(result["first"] - math.log(1 + LENGTH**2)) < 1e-3,
            f"{result['first']:.3f} for each head, {2 * NUM_PREDICATES * result['first']:.0f} for the links",
        ),
    ]

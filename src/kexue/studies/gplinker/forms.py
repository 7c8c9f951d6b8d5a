"""One loss in four forms: equal in value and gradient, unequal in time, memory and float32."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from kexue.layers import EfficientGlobalPointer
from kexue.layers.token_pair_scores import FactorizedScores
from kexue.ops.masking import mask_pairs
from kexue.ops.multilabel import multilabel_cross_entropy, sparse_multilabel_cross_entropy
from kexue.ops.published import PUBLISHED
from kexue.studies.claims import Claim, judge
from kexue.studies.kept import kept_bytes
from kexue.studies.lab import Lab
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

HIDDEN_DIM = 384
CLAIMED = 1.5
FORMS = ("dense labels", "sparse, published", "sparse, nothing subtracted", "factorised")


@dataclass(frozen=True, eq=False)
class Case:
    """A batch of one relation head: hidden states, positives long[n, 4]."""

    num_labels: int
    scorer: EfficientGlobalPointer
    hidden: Tensor
    mask: Tensor
    positives: Tensor

    def scores(self) -> FactorizedScores:
        """From hidden states that want a gradient."""
        return self.scorer(self.hidden.detach().requires_grad_())

    def dense(self) -> Tensor:
        """All scores, [batch, labels, seq * seq]."""
        return mask_pairs(self.scores().dense(), self.mask).flatten(2)

    def targets(self) -> Tensor:
        """A boolean for every pair, made anew as for every batch."""
        batch, length = self.mask.shape
        labels = torch.zeros(batch, self.num_labels, length, length, dtype=torch.bool)
        labels[self.positives.unbind(1)] = True
        return labels.flatten(2)

    def indices(self) -> Tensor:
        """Positive classes of each text and label, padded with -1."""
        length, rows = self.mask.shape[1], {}
        for text, label, start, end in self.positives.tolist():
            rows.setdefault((text, label), []).append(start * length + end)
        index = torch.full((len(self.mask), self.num_labels, max(map(len, rows.values()))), -1)
        for (text, label), found in rows.items():
            index[text, label, : len(found)] = torch.tensor(found)
        return index

    def losses(self) -> Mapping[str, Callable[[], Tensor]]:
        """The four forms, each from hidden states to a number."""
        published = PUBLISHED["bert4keras"]
        return dict(
            zip(
                FORMS,
                (
                    lambda: multilabel_cross_entropy(self.dense(), self.targets()).sum(),
                    lambda: published(self.dense(), self.indices()).sum(),
                    lambda: sparse_multilabel_cross_entropy(self.dense(), self.indices()).sum(),
                    lambda: self.scores().loss(self.positives, self.mask).sum(),
                ),
                strict=True,
            )
        )


def make(labels: int, length: int, batch: int, seed: int, dtype: torch.dtype = torch.float32) -> Case:
    """Random weights and hidden states, three positives for each text."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        scorer = EfficientGlobalPointer(HIDDEN_DIM, labels, rotary=False).to(dtype)
    hidden = torch.randn(batch, length, HIDDEN_DIM, generator=generator).to(dtype)
    text = torch.arange(batch).repeat_interleave(3)
    label = torch.randint(labels, (3 * batch,), generator=generator)
    ends = torch.randint(length, (3 * batch, 2), generator=generator)
    positives = torch.cat((text[:, None], label[:, None], ends), 1).unique(dim=0)
    return Case(labels, scorer, hidden, torch.ones(batch, length, dtype=torch.bool), positives)


def measure(lab: Lab) -> Any:
    """Differences in float64; times and bytes by size; values in float32 by the score of a positive."""
    sizes = lab.pick(((5, 24, 2),), ((24, 64, 16), (24, 128, 8), (50, 128, 8)))
    costs = [lab.keep(f"cost {size}", lambda size=size: _cost(lab, *size)) for size in sizes]
    return {"equal": _equal(lab), "costs": costs, "precision": _precision()}


def _equal(lab: Lab) -> dict[str, float]:
    """Largest difference of value (relative) and of gradient from the dense form, in float64."""
    case = make(7, 20, 3, lab.seed, torch.float64)
    found = {}
    for name, loss in case.losses().items():
        case.scorer.zero_grad()
        value = loss()
        value.backward()
        found[name] = (value.item(), torch.cat([w.grad.flatten() for w in case.scorer.parameters()]))
    value, gradient = found[FORMS[0]]
    return {
        name: max(abs(other / value - 1), float((grad - gradient).abs().max() / gradient.abs().max()))
        for name, (other, grad) in found.items()
    }


def _cost(lab: Lab, labels: int, length: int, batch: int) -> dict[str, Any]:
    """Processor seconds of a step in turn with the others, the median; bytes kept for the gradient; bytes of labels."""
    case = make(labels, length, batch, lab.seed)
    losses = case.losses()
    seconds: dict[str, list[float]] = {name: [] for name in losses}
    for _ in range(lab.pick(1, 5, 20) + 1):
        for name, loss in losses.items():
            began = time.process_time()
            loss().backward()
            seconds[name].append(time.process_time() - began)
    return {
        "size": [labels, length, batch],
        "seconds": {name: median(values[1:]) for name, values in seconds.items()},
        "bytes": {name: kept_bytes(loss, case.scorer.parameters()) for name, loss in losses.items()},
        "labels": [case.targets().numel() * 4, case.indices().numel() * 8],
    }


def _precision() -> list[dict[str, float]]:
    """Of one positive score S and 16383 negatives that add up to 1e-9, in float32; the truth in float64."""
    rows = []
    for score in (5.0, 9.0, 11.0, 13.0, 14.44, 16.0, 20.0):
        scores = torch.full((128**2,), -9 * 2.302585 - 9.704, dtype=torch.float64)
        scores[5] = score
        index, single = torch.tensor([5]), scores.float().requires_grad_()
        published = PUBLISHED["bert4keras"](single, index)
        (pull,) = torch.autograd.grad(published, single)
        rows.append(
            {
                "score": score,
                "truth": float(sparse_multilabel_cross_entropy(scores, index)),
                "published": published.item(),
                "ours": float(sparse_multilabel_cross_entropy(scores.float(), index)),
                "pull": float(pull[5]),
            }
        )
    return rows


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """Two tables, a picture."""
    page.heading("The loss in four forms")
    page.text(
        f"""From hidden states of {HIDDEN_DIM} to the gradient of one relation head (efficient, head dimension 64),
        three triples a text. A step makes its labels, scores, loss and gradient; processor time of the forms in turn,
        median of five; memory: what is kept for the gradient, labels included. Dense: a boolean for every pair.
        Sparse: indices of the positives, as published (with a difference that cancels) and without it. Factorised: no
        scores of all pairs at all. In float64 all agree with the dense form to {max(result["equal"].values()):.0e} in
        value and gradient."""
    )
    page.table(
        ["predicates, tokens, texts", *(f"{name}, ms" for name in FORMS), *(f"{name}, MB" for name in FORMS)],
        [
            [
                ", ".join(map(str, row["size"])),
                *(f"{1e3 * row['seconds'][name]:.0f}" for name in FORMS),
                *(f"{row['bytes'][name] / 1e6:.1f}" for name in FORMS),
            ]
            for row in result["costs"]
        ],
    )
    page.text(
        """In float32: one positive score S, 16,383 negatives whose exponentials add up to 1e-9. "Pull" is the
        derivative of the published loss in S, which should be below 0, as S should rise."""
    )
    page.table(
        ["S", "truth", "published", "ours", "pull"],
        [
            [
                f"{row['score']:g}",
                f"{row['truth']:.1e}",
                f"{row['published']:.4f}",
                f"{row['ours']:.1e}",
                f"{row['pull']:+.3f}",
            ]
            for row in result["precision"]
        ],
    )
    return _claims(result)


def _claims(result: Any) -> list[Claim]:
    speed = [row["seconds"][FORMS[0]] / row["seconds"][FORMS[1]] for row in result["costs"]]
    ours = [row["seconds"][FORMS[1]] / row["seconds"][FORMS[3]] for row in result["costs"]]
    memory = [row["bytes"][FORMS[1]] / row["bytes"][FORMS[3]] for row in result["costs"]]
    labels = [row["labels"][0] / row["labels"][1] for row in result["costs"]]
    wrong = [row for row in result["precision"] if abs(row["published"] - row["truth"]) > 1e-3 + abs(row["truth"])]
    right = max(abs(row["ours"] / row["truth"] - 1) for row in result["precision"])
    return [
        judge(
            "The sparse loss trains 1.5 times faster than the dense one",
            min(speed) > CLAIMED,
            f"the step of the head alone, on a processor: {min(speed):.1f} to {max(speed):.1f} times, with labels "
            f"{min(labels):.0f} to {max(labels):.0f} times smaller. The factorised form is {min(ours):.0f} to "
            f"{max(ours):.0f} times faster than the sparse one, with {min(memory):.0f} to {max(memory):.0f} times "
            "less memory",
            partly=max(speed) > 1.2,
        ),
        judge(
            "It is the same loss, without loss of accuracy",
            not wrong,
            f"in float64 to {max(result['equal'].values()):.0e}; in float32 the published form is wrong at S = "
            f"{', '.join(format(row['score'], 'g') for row in wrong) or 'none'}, down to "
            f"{min(row['published'] for row in result['precision']):.2f}, pulls positives up no more and then down. "
            f"Without the difference it is off by {right:.0e} at most",
            partly=max(result["equal"].values()) < 1e-6,
        ),
    ]

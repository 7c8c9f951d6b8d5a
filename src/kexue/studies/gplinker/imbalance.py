"""Few positives among many pairs: the multi-label loss beside binary cross-entropy, the four terms beside their sum.

The heads alone are trained, on the hidden states of an encoder that stays as it is, so that a training takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn

from kexue.data import demo_path
from kexue.encoders.loading import load_encoder, quiet_transformers
from kexue.encoders.tokenization import TextTokenizer
from kexue.encoders.windows import collate
from kexue.extraction.decoding import Candidates
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents
from kexue.extraction.heads.gplinker import GPLinker
from kexue.extraction.links import Links
from kexue.extraction.schema import Schema
from kexue.ops.masking import mask_pairs, pair_mask
from kexue.ops.multilabel import multilabel_cross_entropy
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.page import Page, spread
from kexue.studies.pictures import Pictures
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import build_model

BATCH_SIZE = 16
LEAST = 0.2
"""F1 of triples below which models have learnt too little to be compared by it."""
SPANS = 40
"""The best spans of a text among which sums of four terms are looked for."""
PairLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""loss(scores, targets, classes), all [batch, labels, seq * seq] -> [batch, labels]; `classes` says which pairs are."""


def multi_label(scores: Tensor, targets: Tensor, classes: Tensor) -> Tensor:
    """The article's."""
    return multilabel_cross_entropy(scores.masked_fill(~classes, -torch.inf), targets)


def binary(scores: Tensor, targets: Tensor, classes: Tensor, *, weighted: bool = False) -> Tensor:
    """Summed over pairs; positives may weigh as much as all negatives of their label together."""
    each = nn.functional.binary_cross_entropy_with_logits(scores, targets.float(), reduction="none") * classes
    if weighted:
        positives = targets.sum(-1, keepdim=True).clamp(min=1)
        each = torch.where(targets, each * (classes.sum(-1, keepdim=True) / positives), each)
    return each.sum(-1)


LOSSES: Mapping[str, PairLoss] = {
    "multi-label": multi_label,
    "binary": binary,
    "binary, positives weighted": partial(binary, weighted=True),
}


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts as hidden states, with their links."""

    hidden: Tensor
    mask: Tensor
    links: list[Links]


@dataclass(frozen=True, eq=False)
class World:
    """What is learnt from and tested on, and heads for it."""

    train: list[Batch]
    test: list[Batch]
    make: Callable[[int], GPLinker]


def prepare(lab: Lab) -> World:
    """Hidden states of an encoder, once for all trainings."""
    documents = {split: read_documents(_path(lab, split)).documents for split in ("train", "test")}
    most = lab.pick({"train": 24, "test": 12}, {"train": 320, "test": 160}, {"train": 10**6, "test": 10**6})
    chosen = {split: documents[split][: most[split]] for split in most}
    schema = Schema.from_documents(documents["train"])
    name = lab.pick("gau-tiny", str(lab.options.data.get("minilm", "minilm")))
    with quiet_transformers():
        encoder, tokenizer = load_encoder(name, texts=[document.text for document in chosen["train"]])
    recipe = ExtractionRecipe.from_values({"train": "none", "output": "none", "encoder": name}, source="study")

    def make(seed: int) -> GPLinker:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            head = build_model(encoder, schema, recipe).head
        return head.to(lab.device)

    model = build_model(encoder, schema, recipe).eval().to(lab.device)
    parts = {split: _batches(model, some, TextTokenizer(tokenizer)) for split, some in chosen.items()}
    return World(parts["train"], parts["test"], make)


def _path(lab: Lab, split: str) -> Any:
    folder = lab.options.data.get("conll04")
    return demo_path("phee", split) if folder is None else folder / f"conll04_{split}.json"


@torch.no_grad()
def _batches(model: Any, documents: Sequence[Document], tokenizer: TextTokenizer) -> list[Batch]:
    encode = model.head.task.encoder(model.head.labels.schema)
    found = []
    for first in range(0, len(documents), BATCH_SIZE):
        some = documents[first : first + BATCH_SIZE]
        tokens = tokenizer([document.text for document in some])
        batch = collate(tokens, tokenizer, window=model.config.window, overlap=model.config.overlap).to(model.device)
        links = [encode(document, own) for document, own in zip(some, tokens, strict=True)]
        found.append(Batch(model.hidden_states(batch), batch.mask, links))
    return found


def train(world: World, loss: PairLoss, epochs: int, seed: int) -> GPLinker:
    """Adam on the heads alone."""
    head = world.make(seed).train()
    optimizer = torch.optim.Adam(head.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for place in torch.randperm(len(world.train), generator=generator).tolist():
            optimizer.zero_grad()
            _loss(head, world.train[place], loss).backward()
            nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
    return head.eval()


def _loss(head: GPLinker, batch: Batch, loss: PairLoss) -> Tensor:
    """Summed over labels, mean over texts."""
    total = batch.hidden.new_zeros(())
    targets = head.targets(batch.links).values()
    for scores, positives in zip(head.scores(batch.hidden), targets, strict=True):
        dense = scores.dense()
        labels = torch.zeros_like(dense, dtype=torch.bool)
        labels[positives.to(dense.device).unbind(1)] = True
        classes = pair_mask(batch.mask, ordered=scores.ordered)[:, None].expand_as(dense)
        total = total + loss(dense.flatten(2), labels.flatten(2), classes.flatten(2)).sum(1).mean()
    return total


def measure(lab: Lab) -> Any:
    """F1 by loss and seed, F1 of sums with the article's loss; gradients at the start."""
    world: list[World] = []

    def one(name: str, seed: int) -> Any:
        world or world.append(prepare(lab))
        head = train(world[0], LOSSES[name], lab.pick(1, 6, 30), seed)
        return _tested(head, world[0].test, sums=name == "multi-label")

    rows = {
        name: [lab.keep(f"{name}, seed {seed}", partial(one, name, seed)) for seed in lab.seeds(lab.pick(1, 2, 5))]
        for name in LOSSES
    }
    return {"rows": rows, "gradients": _gradients(), "data": "CoNLL04" if "conll04" in lab.options.data else "PHEE"}


def _gradients() -> dict[str, dict[str, float]]:
    """Summed absolute gradient over negatives and over 3 positives, all scores 0, by the number of pairs."""
    found: dict[str, dict[str, float]] = {}
    for num in (100, 10_000, 1_000_000):
        targets = torch.zeros(1, num, dtype=torch.bool)
        targets[0, :3] = True
        for name, loss in LOSSES.items():
            scores = torch.zeros(1, num, requires_grad=True)
            (gradient,) = torch.autograd.grad(loss(scores, targets, torch.ones_like(targets)).sum(), scores)
            found.setdefault(name, {})[f"{num:,}"] = float(gradient[~targets].sum() / -gradient[targets].sum())
    return found


@torch.no_grad()
def _tested(head: GPLinker, test: list[Batch], *, sums: bool) -> dict[str, float]:
    """Micro F1 in tokens: of spans, of triples, and of triples whose sum is above 0."""
    counts = {"spans": [0, 0, 0], "triples": [0, 0, 0], "sums": [0, 0, 0]}
    for batch in test:
        found = head.decode(batch.hidden, batch.mask)
        for gold, candidates in zip(batch.links, found, strict=True):
            _count(counts["spans"], set(map(tuple, candidates.spans.tolist())), set(gold.spans))
            _count(counts["triples"], _triples(candidates), set(gold.triples))
        for index, gold in enumerate(batch.links if sums else []):
            _count(counts["sums"], _by_sum(head, batch, index), set(gold.triples))
    return (
        {name: 2 * right / max(1, found + gold) for name, (right, found, gold) in counts.items()}
        | {f"{name} precision": right / max(1, found) for name, (right, found, _) in counts.items()}
        | {f"{name} recall": right / max(1, gold) for name, (right, _, gold) in counts.items()}
    )


def _count(counts: list[int], found: set[Any], gold: set[Any]) -> None:
    for place, number in enumerate((len(found & gold), len(found), len(gold))):
        counts[place] += number


def _triples(candidates: Candidates) -> set[tuple[int, ...]]:
    places = candidates.spans.tolist()
    return {
        (predicate, *places[subject][1:], *places[object_][1:])
        for subject, predicate, object_ in candidates.triples.tolist()
    }


def _by_sum(head: GPLinker, batch: Batch, index: int) -> set[tuple[int, ...]]:
    """Triples among the best spans whose four scores add up to more than 0, as the ideal model would have it."""
    hidden, mask = batch.hidden[index : index + 1], batch.mask[index : index + 1]
    spans, starts, ends = head.scores(hidden)
    scores = mask_pairs(spans.dense(), mask, ordered=True)[0]
    best = scores.flatten().topk(min(SPANS, int(scores.isfinite().sum())))
    label, start, end = torch.unravel_index(best.indices, scores.shape)
    total = best.values[:, None] + best.values + starts.at(0, start, start) + ends.at(0, end, end)
    allowed = (
        head.labels.subjects.to(label.device)[:, label][:, :, None]
        & head.labels.objects.to(label.device)[:, label][:, None]
    )
    hits = ((total > 0) & allowed).nonzero().tolist()
    return {
        (predicate, int(start[one]), int(end[one]), int(start[other]), int(end[other]))
        for predicate, one, other in hits
    }


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """Two tables."""
    page.heading("Few positives among many pairs")
    page.text("""The gradient of all negatives over that of three positives, all scores 0, by the number of pairs:""")
    sizes = list(result["gradients"]["binary"])
    page.table(
        ["loss", *(f"{size} pairs" for size in sizes)],
        [[name, *(f"{value:.3g}" for value in values.values())] for name, values in result["gradients"].items()],
    )
    page.text(
        f"""{result["data"]}: the heads of GPLinker trained on the hidden states of an encoder that stays as it is
        (MiniLM; so F1 is lower than where all is trained, see `kexue study heads`), 320 sentences, 6 epochs, tested
        on 160. Micro F1 in tokens, everything above 0 counts: spans with their types, triples. F1 of triples below
        {100 * LEAST:.0f} decides nothing. "Binary" is the sigmoid cross-entropy summed over pairs."""
    )
    rows = result["rows"]
    keys = ("spans", "spans precision", "spans recall", "triples", "triples precision", "triples recall")
    page.table(
        ["loss", *keys, "seeds"],
        [
            [name, *(spread([run[key] for run in runs], scale=100) for key in keys), str(len(runs))]
            for name, runs in rows.items()
        ],
    )
    ours = rows["multi-label"]
    page.text(
        f"""With the multi-label loss, triples whose four scores are all above 0, and triples (of the {SPANS} best
        spans of a text) whose scores add up to more than 0:"""
    )
    page.table(
        ["rule", "F1", "precision", "recall"],
        [
            [
                rule,
                *(spread([run[f"{key}{part}"] for run in ours], scale=100) for part in ("", " precision", " recall")),
            ]
            for rule, key in (("all four above 0", "triples"), ("sum above 0", "sums"))
        ],
    )
    return _claims(result)


def _claims(result: Any) -> list[Claim]:
    rows, gradients = result["rows"], result["gradients"]
    f1 = {name: mean(run["triples"] for run in runs) for name, runs in rows.items()}
    others = [name for name in rows if name != "multi-label"]
    gains = {
        name: [
            ours["triples"] - theirs["triples"] for ours, theirs in zip(rows["multi-label"], rows[name], strict=True)
        ]
        for name in others
    }
    sums = mean(run["sums"] for run in rows["multi-label"])
    learnt = max(*f1.values(), sums) >= LEAST
    balance = list(gradients["multi-label"].values())
    skew = list(gradients["binary"].values())
    return [
        judge(
            "The multi-label loss balances positives and negatives by itself",
            max(balance) < 2,
            f"gradient of the negatives over that of the positives: {min(balance):.2f} to {max(balance):.2f}, where "
            "binary "
            f"cross-entropy has {skew[0]:.3g} to {skew[-1]:.3g}",
        ),
        judge(
            "It is better than binary cross-entropy where positives are few",
            all(min(values) > 0 for values in gains.values()),
            f"F1 of triples {100 * f1['multi-label']:.1f}; "
            + ", ".join(
                f"{name} {100 * f1[name]:.1f} (lower in {sum(g > 0 for g in values)} of {len(values)} seeds)"
                for name, values in gains.items()
            ),
            partly=any(min(values) > 0 for values in gains.values()),
            decides=learnt,
        ),
        judge(
            "All four terms above 0 is the better rule than their sum",
            f1["multi-label"] > sums,
            f"F1 {100 * f1['multi-label']:.1f} against {100 * sums:.1f}",
            decides=learnt,
        ),
    ]

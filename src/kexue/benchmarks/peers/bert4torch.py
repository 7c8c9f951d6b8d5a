"""bert4torch's heads and losses (MIT, github.com/Tongjilibo/bert4torch), called as its users call them.

Version 0.6.0: 0.6.1 imports itself in a circle and 0.6.2 needs torchvision; heads and losses are the same in all three.
"""

from __future__ import annotations

import torch
from bert4torch.layers import EfficientGlobalPointer as PeerEfficientGlobalPointer
from bert4torch.layers import GlobalPointer as PeerGlobalPointer
from bert4torch.losses import MultilabelCategoricalCrossentropy, SparseMultilabelCategoricalCrossentropy
from torch import Tensor, nn

from kexue.benchmarks.peers.dense import DenseHeads, Labels
from kexue.extraction.heads.gplinker import GPLinker
from kexue.layers.global_pointer import EfficientGlobalPointer, GlobalPointer


class Bert4torchHeads(DenseHeads):
    """The heads of its GPLinker: spans with rotary positions and the triangle, links without either."""

    name = "bert4torch"
    filler = 0

    def __init__(self, head: GPLinker) -> None:
        super().__init__()
        self.scorers = nn.ModuleList([_peer_of(scorer) for scorer in (head.spans, head.starts, head.ends)])
        self._sparse = SparseMultilabelCategoricalCrossentropy(mask_zero=True)
        self._dense = MultilabelCategoricalCrossentropy()

    def forward(self, hidden: Tensor, mask: Tensor) -> list[Tensor]:
        """All scores of the three heads."""
        return [scorer(hidden, mask.long()) for scorer in self.scorers]

    def sparse_loss(self, scores: list[Tensor], labels: Labels) -> Tensor:
        """Its loss, which leaves the class (0, 0) out: in its batches that is [CLS]."""
        losses = [self._sparse(score.flatten(2), label).sum(1) for score, label in zip(scores, labels, strict=True)]
        return torch.stack(losses).sum(0).mean()

    def dense_loss(self, scores: list[Tensor], labels: Labels) -> Tensor:
        """Its loss, a mean over heads, times the number of heads."""
        losses = [
            self._dense(score.flatten(2), label.flatten(2)) * score.shape[1]
            for score, label in zip(scores, labels, strict=True)
        ]
        return torch.stack(losses).sum()


def _peer_of(scorer: nn.Module) -> nn.Module:
    """The peer's layer with the weights of ours."""
    if isinstance(scorer, EfficientGlobalPointer):
        return _efficient(scorer)
    assert isinstance(scorer, GlobalPointer)
    peer = PeerGlobalPointer(
        scorer.project.in_features, scorer.num_labels, scorer.head_dim, RoPE=scorer.rotary, tril_mask=scorer.ordered
    )
    peer.dense.load_state_dict(scorer.project.state_dict())
    return peer


def _efficient(scorer: EfficientGlobalPointer) -> nn.Module:
    peer = PeerEfficientGlobalPointer(
        scorer.project.in_features, scorer.num_labels, scorer.head_dim, RoPE=scorer.rotary, tril_mask=scorer.ordered
    )
    peer.p_dense.load_state_dict(scorer.project.state_dict())
    with torch.no_grad():  # its row and column terms lie one after the other for each label
        peer.q_dense.weight.copy_(torch.stack((scorer.row.weight, scorer.column.weight), 1).flatten(0, 1))
        peer.q_dense.bias.copy_(torch.stack((scorer.row.bias, scorer.column.bias), 1).flatten())
    return peer

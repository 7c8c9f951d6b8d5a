"""GPLinker as peers compute it: all scores in one tensor per head, losses over all of it, loops to decode."""

from __future__ import annotations

from importlib.util import find_spec

from kexue.benchmarks.peers.dense import DenseHeads, OwnDenseHeads
from kexue.extraction.heads.gplinker import GPLinker

__all__ = ["DenseHeads", "dense_heads"]


def dense_heads(head: GPLinker) -> DenseHeads:
    """The peer with the weights of `head`: bert4torch where it is installed, else its formulas by our hand."""
    if find_spec("bert4torch") is None:
        return OwnDenseHeads(head)
    from kexue.benchmarks.peers.bert4torch import Bert4torchHeads

    return Bert4torchHeads(head)

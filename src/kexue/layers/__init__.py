"""Modules that know no task: from hidden states to scores."""

from __future__ import annotations

from kexue.layers.gau import GatedAttentionUnit
from kexue.layers.global_pointer import EfficientGlobalPointer, GlobalPointer
from kexue.layers.token_pair_scores import FactorizedScores, ProductScores, TokenPairScores

__all__ = [
    "EfficientGlobalPointer",
    "FactorizedScores",
    "GatedAttentionUnit",
    "GlobalPointer",
    "ProductScores",
    "TokenPairScores",
]

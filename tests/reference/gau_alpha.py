"""GAU-alpha as its published model code computes it, token by token, from a dict of arrays by their published names.

Embedding-Token + Embedding-Segment, norm, then per layer GatedAttentionUnit, sum, norm; the scores are products with
the token embeddings. Written from ZhuiyiTechnology/GAU-alpha's models.py and bert4keras' layers.
"""

from __future__ import annotations

import math

import numpy as np


def norm(x: np.ndarray) -> np.ndarray:
    """LayerNormalization with zero_mean, scale and offset switched off."""
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)


def swish(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def rotated(x: np.ndarray) -> np.ndarray:
    """apply_rotary_position_embeddings: [x0, x1, ...] cos + [-x1, x0, ...] sin, angles by position."""
    out = np.empty_like(x)
    for position, vector in enumerate(x):
        for k in range(0, len(vector), 2):
            angle = position * 10000.0 ** (-k / len(vector))
            out[position, k] = vector[k] * math.cos(angle) - vector[k + 1] * math.sin(angle)
            out[position, k + 1] = vector[k + 1] * math.cos(angle) + vector[k] * math.sin(angle)
    return out


def softmax_plus(scores: np.ndarray) -> np.ndarray:
    length = max(len(scores), 16)
    scaled = np.exp(scores * math.log(length) / math.log(512))
    return scaled / scaled.sum()


def unit(x: np.ndarray, weights: dict[str, np.ndarray], layer: int) -> np.ndarray:
    own = {name: weights[f"GAU_alpha/encoder/layer_{layer}/gau/{name}"] for name in NAMES}
    inner, key_size = own["o_dense/kernel"].shape[0], len(own["q_scaleoffset/gamma"])
    hidden = swish(x @ own["i_dense/kernel"])
    u, v, qk = hidden[:, :inner], hidden[:, inner : 2 * inner], hidden[:, 2 * inner :]
    q, k = rotated(qk * own["q_scaleoffset/gamma"]), rotated(qk * own["k_scaleoffset/gamma"])
    rows = [softmax_plus(np.array([query @ key for key in k]) / key_size**0.5) @ v for query in q]
    return (u * np.array(rows)) @ own["o_dense/kernel"]


NAMES = ("i_dense/kernel", "o_dense/kernel", "q_scaleoffset/gamma", "k_scaleoffset/gamma")


def scores(ids: list[int], segments: list[int], weights: dict[str, np.ndarray], num_layers: int) -> np.ndarray:
    """One text without padding to its scores [tokens, vocabulary]."""
    words, types = weights["bert/embeddings/word_embeddings"], weights["bert/embeddings/token_type_embeddings"]
    x = norm(words[ids] + types[segments])
    for layer in range(num_layers):
        x = norm(x + unit(x, weights, layer))
    return x @ words.T

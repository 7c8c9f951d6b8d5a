"""The gated attention unit in loops over single numbers (Hua et al. 2022; kexue.fm/archives/8934)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def silu(x: float) -> float:
    return x / (1 + math.exp(-x))


def turn(vector: list[float], position: int) -> list[float]:
    """Rotary position: each pair of channels as a complex number times exp(i position theta_k)."""
    out = []
    for k in range(0, len(vector), 2):
        angle = position * 10000.0 ** (-k / len(vector))
        turned = complex(vector[k], vector[k + 1]) * complex(math.cos(angle), math.sin(angle))
        out += [turned.real, turned.imag]
    return out


def matvec(weight: list[list[float]], x: list[float]) -> list[float]:
    return [sum(w * value for w, value in zip(row, x, strict=True)) for row in weight]


def squared_relu(products: list[float], key_dim: int) -> list[float]:
    return [max(p, 0.0) ** 2 / (len(products) * key_dim) for p in products]


def softmax(products: list[float], key_dim: int) -> list[float]:
    exps = [math.exp(p / math.sqrt(key_dim)) for p in products]
    return [e / sum(exps) for e in exps]


def entropy_invariant_softmax(products: list[float], key_dim: int) -> list[float]:
    growth = math.log(max(len(products), 16)) / math.log(512)
    return softmax([growth * p for p in products], key_dim)


def gau(x: Tensor, w_in: Tensor, w_out: Tensor, scale: Tensor, offset: Tensor, normalise) -> Tensor:
    """One text x[seq, dim] without padding; w_in holds the rows of W_u, W_v and W_z one after the other."""
    key_dim, inner = scale.shape[1], w_out.shape[1]
    hidden = [[silu(h) for h in matvec(w_in.tolist(), row)] for row in x.tolist()]
    u = [h[:inner] for h in hidden]
    v = [h[inner : 2 * inner] for h in hidden]
    z = [h[2 * inner :] for h in hidden]
    turned = [
        [
            turn([g * c + b for g, c, b in zip(scale[k].tolist(), row, offset[k].tolist(), strict=True)], i)
            for i, row in enumerate(z)
        ]
        for k in (0, 1)
    ]
    out = []
    for i, query in enumerate(turned[0]):
        products = [sum(a * b for a, b in zip(query, key, strict=True)) for key in turned[1]]
        weights = normalise(products, key_dim)
        mixed = [sum(w * row[c] for w, row in zip(weights, v, strict=True)) for c in range(inner)]
        out.append(matvec(w_out.tolist(), [a * b for a, b in zip(u[i], mixed, strict=True)]))
    return torch.tensor(out, dtype=x.dtype)

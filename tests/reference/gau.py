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


def squared_relu_over_length(products: list[float], key_dim: int) -> list[float]:
    return [max(p / len(products), 0.0) ** 2 for p in products]


def normalized_squared_relu(products: list[float], key_dim: int) -> list[float]:
    squares = [max(p, 0.0) ** 2 for p in products]
    return [square / (sum(squares) or 1.0) for square in squares]


def laplace(products: list[float], key_dim: int) -> list[float]:
    mu, sigma = math.sqrt(1 / 2), math.sqrt(1 / (4 * math.pi))
    return [0.5 * (1 + math.erf((p / len(products) - mu) / (sigma * math.sqrt(2)))) for p in products]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def attend(normalise, causal: bool, queries, keys, values) -> list[list[float]]:
    """Each token's weighted sum of the values of the tokens that it sees."""
    out = []
    for i, query in enumerate(queries):
        seen = range(i + 1 if causal else len(keys))
        weights = normalise([dot(query, keys[j]) for j in seen], len(query))
        out.append([sum(w * values[j][c] for w, j in zip(weights, seen, strict=True)) for c in range(len(values[0]))])
    return out


def mixed_chunk(size: int, causal: bool, roles, values) -> list[list[float]]:
    """Squared ReLU within chunks, plus the mean of (q . k) v over all tokens or those of earlier chunks."""
    near_query, near_key, far_query, far_key = roles
    out = []
    for first in range(0, len(values), size):
        own = slice(first, first + size)
        near = attend(squared_relu, causal, near_query[own], near_key[own], values[own])
        seen = range(first if causal else len(values))
        for row, query in zip(near, far_query[own], strict=True):
            far = [sum(dot(query, far_key[j]) * values[j][c] for j in seen) for c in range(len(row))]
            out.append([x + y / max(len(seen), 1) for x, y in zip(row, far, strict=True)])
    return out


def gau(x: Tensor, w_in: Tensor, w_out: Tensor, scale: Tensor, offset: Tensor, mix) -> Tensor:
    """One text x[seq, dim] without padding; w_in holds the rows of W_u, W_v and W_z one after the other.

    `mix` makes A V of the vectors of all roles and the values.
    """
    inner = w_out.shape[1]
    hidden = [[silu(h) for h in matvec(w_in.tolist(), row)] for row in x.tolist()]
    u = [h[:inner] for h in hidden]
    v = [h[inner : 2 * inner] for h in hidden]
    z = [h[2 * inner :] for h in hidden]
    roles = [
        [turn([g * c + b for g, c, b in zip(gains, row, shifts, strict=True)], i) for i, row in enumerate(z)]
        for gains, shifts in zip(scale.tolist(), offset.tolist(), strict=True)
    ]
    mixed = mix(roles, v)
    out = [matvec(w_out.tolist(), [a * b for a, b in zip(*rows, strict=True)]) for rows in zip(u, mixed, strict=True)]
    return torch.tensor(out, dtype=x.dtype)

"""Probabilities of argmax(loc + noise) the slow way, in float64.

Every class is integrated as the definition says, p_i = int f(x - mu_i) prod_{j != i} F(x - mu_j) dx, with scipy's
laws and far more Gauss-Legendre nodes than needed: panels that grow as sinh from several locations, cut at all
kinks and finely graded about those of the largest class.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special, stats

Log = Callable[[np.ndarray], np.ndarray]


def _triangular_log_cdf(z: np.ndarray) -> np.ndarray:
    left, right = np.clip(1 + z, 0, 1), np.clip(1 - z, 0, 1)
    with np.errstate(divide="ignore"):
        return np.where(z < 0, np.log(left**2 / 2), np.log1p(-(right**2) / 2))


LAWS: dict[str, tuple[Log, Log, tuple[float, ...]]] = {
    "gumbel": (stats.gumbel_r.logpdf, stats.gumbel_r.logcdf, ()),
    "normal": (stats.norm.logpdf, special.log_ndtr, ()),
    "logistic": (stats.logistic.logpdf, special.log_expit, ()),
    "laplace": (lambda z: -abs(z) - np.log(2), stats.laplace.logcdf, (0.0,)),
    "exponential": (stats.expon.logpdf, stats.expon.logcdf, (0.0,)),
    "negated_exponential": (lambda z: np.where(z > 0, -np.inf, z), lambda z: np.minimum(z, 0.0), (0.0,)),
    "uniform": (stats.uniform.logpdf, stats.uniform.logcdf, (0.0, 1.0)),
    "triangular": (stats.triang(0.5, -1, 2).logpdf, _triangular_log_cdf, (-1.0, 0.0, 1.0)),
    "student_t": (stats.t(3).logpdf, stats.t(3).logcdf, ()),
    "cauchy": (stats.cauchy.logpdf, stats.cauchy.logcdf, ()),
}
"""Log density, log cdf and kinks of the standard laws, by the names of `NOISES`."""
HEAVY = ("student_t", "cauchy")
ORDER = 16
"""Nodes of a panel."""
DEEPEST = -900.0
"""Of log P(all <= x): what is deeper plays no part in log p down to -700."""


def log_probs(mu: np.ndarray, law: str, counts: np.ndarray | None = None) -> np.ndarray:
    """log p of one class at each location, of `counts` classes there (1 by default), each integrated on its own."""
    log_pdf, log_cdf, kinks = LAWS[law]
    nodes, weights = _panels(mu, kinks, heavy=law in HEAVY, log_cdf=log_cdf)
    total = _total(mu, nodes, log_cdf, counts)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        own = [log_pdf(nodes - m) - log_cdf(nodes - m) for m in mu]
        exponents = [np.where(np.isfinite(e) & np.isfinite(total), e + total, -np.inf) for e in own]
        return np.array([special.logsumexp(e + np.log(weights)) for e in exponents])


def probs(mu: np.ndarray, law: str) -> np.ndarray:
    """p of all classes."""
    return np.exp(log_probs(mu, law))


def jacobian(mu: np.ndarray, law: str) -> np.ndarray:
    """dp_i/dmu_j = -int f(x - mu_i) f(x - mu_j) prod of F over the others, and rows that sum to 0."""
    log_pdf, log_cdf, kinks = LAWS[law]
    nodes, weights = _panels(mu, kinks, heavy=law in HEAVY, log_cdf=log_cdf)
    total = _total(mu, nodes, log_cdf)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        hazards = np.stack([np.exp(log_pdf(nodes - m) - log_cdf(nodes - m) + total / 2) for m in mu])
    hazards = np.nan_to_num(hazards, nan=0.0, posinf=0.0)
    result = -(hazards * weights) @ hazards.T
    np.fill_diagonal(result, 0)
    np.fill_diagonal(result, -result.sum(1))
    return result


def expected_max(mu: np.ndarray, law: str) -> float:
    """E max = int_0^inf (1 - exp G) dx - int_-inf^0 exp G dx; the panels begin where exp G does."""
    _, log_cdf, kinks = LAWS[law]
    nodes, weights = _panels(mu, kinks, heavy=law in HEAVY, log_cdf=log_cdf)
    total = _total(mu, nodes, log_cdf)
    tails = (weights * np.where(nodes > 0, -np.expm1(total), -np.exp(total))).sum()
    begin = nodes[:ORDER].mean() - weights[:ORDER].sum() / 2
    return float(tails + max(0.0, begin))


def _total(mu: np.ndarray, nodes: np.ndarray, log_cdf: Log, counts: np.ndarray | None = None) -> np.ndarray:
    counts = np.ones(len(mu)) if counts is None else counts
    parts = zip(*(np.array_split(own, 1 + len(mu) // 500) for own in (mu, counts)), strict=True)
    with np.errstate(divide="ignore", over="ignore"):
        return sum(((log_cdf(nodes[:, None] - part) * many).sum(1) for part, many in parts), 0.0)


def _panels(mu: np.ndarray, kinks: tuple[float, ...], *, heavy: bool, log_cdf: Log) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights."""
    few = np.unique(np.quantile(mu, np.linspace(0, 1, 13))) if len(mu) > 50 else mu
    farthest = np.arcsinh(1e22 if heavy else 900 + np.ptp(mu))
    growth = np.sinh(np.linspace(-farthest, farthest, 300 if heavy else 60))
    near = np.geomspace(1e-7, 1, 90)
    ends = [mu.max() + kink + sign * near for kink in kinks for sign in (-1, 1)]
    coarse = np.unique(np.concatenate([few[:, None] + growth, few + 0.0, *ends, np.zeros(1)], axis=None))
    impossible = _total(mu, coarse, log_cdf) < DEEPEST
    begin = coarse[impossible][-1] if impossible.any() else coarse[0]
    graded = np.concatenate([-near, [0.0], near]) if len(mu) <= 100 else np.zeros(1)
    kinked = [(mu[:, None] + kink + graded).ravel() for kink in kinks]
    breaks = np.unique(np.concatenate([coarse, *kinked], axis=None))
    breaks = breaks[breaks >= begin]
    gauss, weights = np.polynomial.legendre.leggauss(ORDER)
    left, length = breaks[:-1, None], np.diff(breaks)[:, None]
    return (left + length * (gauss + 1) / 2).ravel(), (length * weights / 2).ravel()

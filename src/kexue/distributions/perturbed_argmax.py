"""The distribution of argmax_j(loc_j + eps_j) as a member of `torch.distributions`.

    p_i = P(argmax_j(loc_j + eps_j) = i),   eps_j independent, all of one law

It stands where `Categorical` stands, and with Gumbel noise it is `Categorical(logits=loc)`.
Source: Su, kexue.fm/archives/9085 (2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.distributions.kl import register_kl
from torch.distributions.utils import lazy_property

from kexue.distributions.noise import Noise
from kexue.distributions.probabilities import expected_max, perturbed_argmax_log_probs, perturbed_argmax_probs
from kexue.distributions.relaxed import Relaxation, StraightThrough
from kexue.errors import OptionError
from kexue.ops.precision import exact_dtype


class _Locations(constraints.Constraint):
    """Numbers and -inf, but neither NaN nor +inf, and at least one number in a row."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        """bool[*batch]."""
        allowed = value < torch.inf  # also False for NaN
        return allowed.all(-1) & ~value.isneginf().all(-1)

    def __repr__(self) -> str:
        return "no NaN, no +inf, not all -inf"


class PerturbedArgmax(Distribution):
    """The index of the largest of `loc + eps`, where eps is drawn from `noise` for each class on its own.

    loc    float[*batch, n], n at least 1; -inf takes a class out, so that its probability is exactly 0
    noise  the law of eps, for example `Normal()`

    A draw is an index, long[*batch]. `has_rsample` is False, as an index carries no gradient: `rsample` gives a
    point of the simplex instead, with one more dimension. `tolerance` is handed to the algorithm.

    Raises OptionError for a `loc` without classes or of a wrong type, and, as torch's own members do, ValueError
    for values outside `arg_constraints` and `support` unless `validate_args=False`.

    >>> from kexue.distributions import Normal
    >>> fruit = PerturbedArgmax(torch.tensor([1.0, 0.3, -0.5, 0.8]), Normal())
    >>> fruit.probs
    tensor([0.4379, 0.1733, 0.0462, 0.3426])
    """

    arg_constraints: ClassVar = {"loc": _Locations()}
    has_enumerate_support = True
    has_rsample = False

    def __init__(
        self, loc: Tensor, noise: Noise, *, tolerance: float | None = None, validate_args: bool | None = None
    ) -> None:
        _check_types(loc, noise)
        self.loc, self.noise, self.tolerance = loc, noise, tolerance
        super().__init__(loc.shape[:-1], validate_args=validate_args)

    @lazy_property
    def probs(self) -> Tensor:
        """p, float[*batch, n]: exactly normalised, and exact to the tolerance in absolute terms."""
        return perturbed_argmax_probs(self.loc, self.noise, tolerance=self.tolerance)

    @lazy_property
    def logits(self) -> Tensor:
        """log p, float[*batch, n]: exact in relative terms however small p is; -inf where p is 0.

        Normalised, as those of `Categorical` are: softmax of them is p.
        """
        return perturbed_argmax_log_probs(self.loc, self.noise, tolerance=self.tolerance)

    @lazy_property
    def potential(self) -> Tensor:
        """E max_j(loc_j + eps_j), float[*batch]: convex in loc, and p is its gradient."""
        return expected_max(self.loc, self.noise, tolerance=self.tolerance)

    @property
    def num_classes(self) -> int:
        """n, absent classes counted."""
        return self.loc.shape[-1]

    @property
    def param_shape(self) -> torch.Size:
        """Shape of `loc`."""
        return self.loc.shape

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> constraints.Constraint:
        """0 to n - 1."""
        return constraints.integer_interval(0, self.num_classes - 1)

    @property
    def mode(self) -> Tensor:
        """The class of the largest location, long[*batch]: the order of p is that of loc, whatever the law."""
        return self.loc.argmax(-1)

    @property
    def mean(self) -> Tensor:
        """NaN, as for `Categorical`: the numbers of classes are names."""
        return self.loc.new_full(self.batch_shape, torch.nan)

    @property
    def variance(self) -> Tensor:
        """NaN, as for `Categorical`."""
        return self.loc.new_full(self.batch_shape, torch.nan)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> PerturbedArgmax:
        """The same law for each element of a larger batch; what was already computed is not computed again."""
        new: PerturbedArgmax = self._get_checked_instance(PerturbedArgmax, _instance)  # type: ignore[no-untyped-call]
        batch_shape = torch.Size(batch_shape)
        per_class = (*batch_shape, self.num_classes)
        new.loc, new.noise, new.tolerance = self.loc.expand(per_class), self.noise, self.tolerance
        for name, shape in (("probs", per_class), ("logits", per_class), ("potential", batch_shape)):
            if name in self.__dict__:
                setattr(new, name, self.__dict__[name].expand(shape))
        super(PerturbedArgmax, new).__init__(batch_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """log p of the class, float; `value` is long and broadcasts against the batch."""
        if self._validate_args:
            self._validate_sample(value)
        index, log_probs = torch.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        chosen: Tensor = log_probs.gather(-1, index[..., :1]).squeeze(-1)
        return chosen

    def sample(self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None) -> Tensor:
        """Indices, long[*sample_shape, *batch], drawn as the definition says: the argmax of loc + eps."""
        with torch.no_grad():
            return self._perturbed(sample_shape, generator).argmax(-1)

    def rsample(
        self,
        sample_shape: Sequence[int] = (),
        relaxation: Relaxation = StraightThrough(),  # noqa: B008, frozen
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Points of the simplex that carry a gradient, float[*sample_shape, *batch, n].

        By default a one-hot vector with the exact gradient of p; `Relaxed(temperature)` gives a softmax instead.
        """
        perturbed = self._perturbed(sample_shape, generator)
        return relaxation.draw(perturbed, lambda: self.probs)

    def entropy(self) -> Tensor:
        """-sum p log p in nats, float[*batch]; a class of probability 0 adds nothing."""
        return -_expectation(self.logits, self.logits)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Every class, long[n, *batch], or long[n, 1, ...] where not expanded."""
        values = torch.arange(self.num_classes, device=self.loc.device).view(-1, *(1,) * len(self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values

    def __repr__(self) -> str:
        return f"{type(self).__name__}(loc: {tuple(self.loc.shape)}, noise: {self.noise!r})"

    def _perturbed(self, sample_shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
        """loc + eps in float32 at least; an absent class stays absent even where eps is infinite."""
        shape = (*sample_shape, *self.loc.shape)
        loc = self.loc.to(exact_dtype(self.loc))
        eps = self.noise.sample(shape, generator, dtype=loc.dtype, device=loc.device)
        return torch.where(loc.isneginf(), loc, loc + eps)


def _check_types(loc: Tensor, noise: Noise) -> None:
    if not isinstance(noise, Noise):
        raise OptionError(f"noise = {noise!r}: a law is needed, for example Normal() or Uniform(scale=2.0).")
    if not (isinstance(loc, Tensor) and loc.is_floating_point()):
        found = loc.dtype if isinstance(loc, Tensor) else type(loc).__name__
        raise OptionError(f"loc is a tensor of floating point numbers, not {found}.")
    if loc.ndim == 0 or loc.shape[-1] == 0:
        raise OptionError(f"loc of shape {tuple(loc.shape)} has no class: the last dimension holds at least one.")


def _expectation(log_probs: Tensor, values: Tensor) -> Tensor:
    """sum_i p_i v_i, where a class of probability 0 counts nothing even if its value is infinite."""
    absent = log_probs.isneginf()
    return (log_probs.masked_fill(absent, 0).exp() * values).masked_fill(absent, 0).sum(-1)


def _log_probs(law: PerturbedArgmax | Categorical) -> Tensor:
    """log p; `Categorical` writes the logarithm of a tiny number where p is 0."""
    return law.logits.masked_fill(law.probs == 0, -torch.inf) if isinstance(law, Categorical) else law.logits


def _kl(p: PerturbedArgmax | Categorical, q: PerturbedArgmax | Categorical) -> Tensor:
    """sum p (log p - log q) in nats; infinite where q has no room for a class of p."""
    log_p = _log_probs(p)
    return _expectation(log_p, log_p - _log_probs(q))


register_kl(PerturbedArgmax, PerturbedArgmax)(_kl)
register_kl(PerturbedArgmax, Categorical)(_kl)
register_kl(Categorical, PerturbedArgmax)(_kl)

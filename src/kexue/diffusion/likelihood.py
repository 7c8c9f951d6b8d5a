"""The log-likelihood of data by the probability flow, with its error.

    dx/dt = u(x, t) = alpha' x_0 + sigma' eps
    log p(x) = log N(x_1; 0, prior_std^2) + integral over t of div u

Source: Chen et al. 2018; Song et al. 2021; Su, kexue.fm/archives/9209 and 9228 (2022).
Three errors remain besides the solver's, and each is reported: of the trace (`standard_error`), of beginning at t_min
instead of at 0 (`truncation`), and of the prior, which takes x_1 for pure noise (`prior_mismatch`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from kexue.diffusion.bits import Bins, bits_per_dim
from kexue.diffusion.ode import State, integrate
from kexue.diffusion.prediction import Denoiser
from kexue.diffusion.schedules.schedule import Schedule
from kexue.diffusion.shapes import per_sample
from kexue.diffusion.trace import ExactTrace, Hutchinson, Trace
from kexue.errors import OptionError

EXACT_DIM = 256  # up to here all dimensions together cost about as much as a dozen probes


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Everything in nats and float64[batch] unless said otherwise.

    Attributes:
        log_prob: log density of each sample; of its dequantised values where there are bins.
        standard_error: of log_prob, from the spread over the probes of the trace; 0 where it is exact.
        truncation: by how much log_prob is too large because integration begins at t_min, to first order; it holds
            where data have a density of their own that is smooth on the scale of sigma(t_min), and is as noisy as
            the trace.
        prior_mismatch: the divergence of x_1 given x from the prior; it bounds, in the mean over data, by how much
            log_prob is too low because of it.
        dim: number of values of a sample.
        bins: the bins that the data were dequantised over, None where they have a density of their own.
        num_calls: how often the denoiser was called.
    """

    log_prob: Tensor
    standard_error: Tensor
    truncation: Tensor
    prior_mismatch: Tensor
    dim: int
    bins: Bins | None
    num_calls: int

    @property
    def bits_per_dim(self) -> Tensor:
        """-log2 of the probability (the density where there are no bins), per value: float64[batch]."""
        return bits_per_dim(-self.log_prob, self.dim, self.bins)

    @property
    def bits_error(self) -> Tensor:
        """The standard error in bits per dimension: float64[batch]."""
        return bits_per_dim(self.standard_error, self.dim)


def log_likelihood(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    *,
    trace: Trace | None = None,
    bins: Bins | None = None,
    t_min: float | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    generator: torch.Generator | None = None,
) -> Likelihood:
    """The log-likelihood of samples x of shape [batch, ...], float32 or float64.

    Args:
        denoise: has to be differentiable in x_t, and treat each sample by itself.
        schedule: of the denoiser.
        x: in the units the denoiser was trained in.
        trace: `ExactTrace()` up to 256 dimensions and `Hutchinson()` beyond, where left out.
        bins: where the data are whole numbers, how far apart; they are dequantised here.
        t_min: where integration begins; `schedule.t_first` where left out.
        rtol: tolerance of the solver relative to each value.
        atol: absolute tolerance of the solver.
        generator: of probes and dequantisation.

    Raises OptionError where x is not a batch of floats, or the solver does not come to an end.
    """
    _check(x)
    dim = x[0].numel()
    chosen = trace if trace is not None else ExactTrace() if dim <= EXACT_DIM else Hutchinson()
    start = schedule.t_first if t_min is None else t_min
    x = x if bins is None else bins.dequantize(x, generator)
    flow = _Flow(denoise, schedule, chosen, chosen.probes(x.flatten(1), generator))
    solution = integrate(flow, (x, _no_divergence(x, chosen)), start, 1.0, rtol=rtol, atol=atol)
    noise, divergence = solution.state
    prior = normal_log_prob(noise, schedule.prior_std)
    spread = divergence.std(1) / math.sqrt(chosen.columns) if chosen.columns > 1 else torch.zeros_like(prior)
    return Likelihood(
        log_prob=prior + divergence.mean(1),
        standard_error=spread,
        truncation=_truncation(flow, x, start),
        prior_mismatch=prior_divergence(schedule, x),
        dim=dim,
        bins=bins,
        num_calls=solution.num_calls + 1,
    )


def normal_log_prob(x: Tensor, std: float) -> Tensor:
    """log N(x; 0, std^2) of all values of each sample together: float64[batch]."""
    x = x.double().flatten(1)
    return -(x / std).square().sum(1) / 2 - x.shape[1] * math.log(std * math.sqrt(2 * math.pi))


def prior_divergence(schedule: Schedule, x0: Tensor) -> Tensor:
    """KL(x_1 given x_0 to N(0, prior_std^2)) in nats: float64[batch]; as sigma(1) is prior_std, only means differ."""
    alpha = float(schedule.alpha(torch.ones((), dtype=torch.float64)))
    return (alpha / schedule.prior_std * x0.double().flatten(1)).square().sum(1) / 2


@dataclass(frozen=True, eq=False)
class _Flow:
    """d/dt of (x_t, the divergence so far)."""

    denoise: Denoiser
    schedule: Schedule
    trace: Trace
    probes: Tensor

    def __call__(self, t: Tensor, state: State) -> State:
        x = state[0].detach().requires_grad_()
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no batched derivative
            velocity = self.velocity(x, t)
            divergence = self.trace(lambda v: _products(velocity, x, v), self.probes)
        return velocity.detach(), divergence

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """alpha' x_0 + sigma' eps."""
        alpha_rate, sigma_rate = (per_sample(rate, x) for rate in self.schedule.rates(t))
        return self.denoise(x, t.to(x.dtype)).combine(alpha_rate, sigma_rate)


def _products(velocity: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """v times the Jacobian of each sample's velocity: v and the result [num, batch, dim]."""

    def product(weight: Tensor) -> Tensor:
        return torch.autograd.grad(velocity, x, weight, retain_graph=True)[0]

    rows: Tensor = torch.func.vmap(product)(v.reshape(-1, *x.shape))
    return rows.flatten(2)


def _truncation(flow: _Flow, x: Tensor, t_min: float) -> Tensor:
    """log p at t_min minus log p at 0, to first order in what happened since: shrinking and blurring.

    With q the data blurred by the variance sigma^2 / alpha^2, p(x) = q(x / alpha) / alpha^d, and the heat equation:

        -log alpha (d + x score) + sigma^2 / (2 alpha^2) (div score + |score|^2)

    in which div score follows from div u = f d - g^2 div score / 2.
    """
    t = torch.full((len(x),), t_min, dtype=torch.float64, device=x.device)
    schedule, dim = flow.schedule, x[0].numel()
    _, divergence = flow(t, (x,))
    with torch.no_grad():
        score = flow.denoise(x, t.to(x.dtype)).score.double().flatten(1)
    curvature = 2 * (dim * schedule.drift(t) - divergence.mean(1)) / schedule.diffusion(t).square()
    shrinking = schedule.log_alpha(t) * (dim + (x.double().flatten(1) * score).sum(1))
    blurring = (-schedule.log_snr(t)).exp() / 2 * (curvature + score.square().sum(1))
    return blurring - shrinking


def _no_divergence(x: Tensor, trace: Trace) -> Tensor:
    return torch.zeros(len(x), trace.columns, dtype=torch.float64, device=x.device)


def _check(x: Tensor) -> None:
    if x.ndim < 2 or not x.is_floating_point() or not x.numel():
        raise OptionError(f"samples have to be floats of shape [batch, ...], got {x.dtype} of shape {list(x.shape)}")

"""Log-likelihoods against closed forms: exact traces to the solver's precision, estimated ones with an honest error.

On an isotropic Gaussian one probe of signs is exact, so nothing here is shown on one: dimensions are correlated.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from kexue.diffusion.bits import Bins
from kexue.diffusion.denoising import NetworkDenoiser
from kexue.diffusion.exact import GaussianData, MixtureData
from kexue.diffusion.likelihood import log_likelihood, normal_log_prob, prior_divergence
from kexue.diffusion.prediction import Prediction, V
from kexue.diffusion.schedules import SCHEDULES, DiscreteBetas, LinearVP, Schedule, ZeroTerminalSNR
from kexue.diffusion.trace import ExactTrace, Hutchinson, HutchPP, Trace, random_signs
from kexue.errors import OptionError

NATS_192 = 192 * math.log(2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_192_correlated_dimensions_are_right_to_a_hundred_thousandth_of_a_bit():
    data, schedule = GaussianData.correlated(192), LinearVP()
    draws = data.sample(4)
    x = torch.cat((draws, 2 * data.mean - draws))  # with the mirror image of each, so that luck does not make the mean
    found = log_likelihood(data.denoiser(schedule), schedule, x)
    error = (found.log_prob - data.log_prob(x)) / NATS_192
    assert abs(float(error.mean())) <= 1e-5
    assert float(error.square().mean().sqrt()) <= 1e-4
    assert found.standard_error.tolist() == [0] * 8
    torch.testing.assert_close(found.bits_per_dim, -found.log_prob / NATS_192)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_gives_the_likelihood_of_a_gaussian(name: str):
    schedule, data = SCHEDULES[name](), GaussianData.correlated(6)
    denoise = data.denoiser(schedule) if name != "zero_terminal_snr" else v_denoiser(data, schedule)
    x = data.sample(5)
    found = log_likelihood(denoise, schedule, x, rtol=1e-6, atol=1e-6)
    # against the law at t_min whose flow ends in the prior instead of in the law of x_1
    ends = data.at(schedule, 1.0), data.at(schedule, schedule.t_first)
    noise = (
        ends[0].mean + ((x - ends[1].mean) @ data.turn * (ends[0].variances / ends[1].variances).sqrt()) @ data.turn.T
    )
    expected = ends[1].log_prob(x) - ends[0].log_prob(noise) + normal_log_prob(noise, schedule.prior_std)
    torch.testing.assert_close(found.log_prob, expected, rtol=0, atol=3e-5)
    torch.testing.assert_close(found.truncation, ends[1].log_prob(x) - data.log_prob(x), rtol=0.02, atol=1e-8)


def v_denoiser(data: GaussianData, schedule: Schedule) -> NetworkDenoiser:
    """The exact denoiser in a form that holds where nothing of the data is left."""

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
        turned = (x_t - alpha * data.mean) @ data.turn / (alpha**2 * data.variances + sigma**2)
        x0 = data.mean + alpha * (turned * data.variances) @ data.turn.T
        return alpha * sigma * turned @ data.turn.T - sigma * x0

    return NetworkDenoiser(network, schedule, V())


def test_a_mixture_has_the_density_of_a_mixture():
    data, schedule = MixtureData.three_modes(), LinearVP()
    x = torch.linspace(-1.6, 2.2, 20, dtype=torch.float64)[:, None]
    found = log_likelihood(data.denoiser(schedule), schedule, x, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.log_prob, data.log_prob(x), rtol=0, atol=0.01)
    better = log_likelihood(v_mixture(data), ZeroTerminalSNR(), x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(better.log_prob, data.log_prob(x), rtol=0, atol=1e-3)


def v_mixture(data: MixtureData):
    """The mixture's denoiser where the schedule ends in pure noise: E[x_0 | x_t] is the mean there."""
    schedule = ZeroTerminalSNR()
    plain = data.denoiser(schedule)

    def denoise(x_t: Tensor, t: Tensor) -> Prediction:
        said = plain(x_t, t.clamp(max=1 - 1e-7))
        return Prediction.from_v(said.v, x_t, schedule.alpha(t)[:, None], schedule.sigma(t)[:, None])

    return denoise


@pytest.mark.parametrize("trace", [Hutchinson(4), HutchPP(4, 4)], ids=["hutchinson", "hutch++"])
def test_the_standard_error_covers_the_truth_as_often_as_it_says(trace: Trace):
    # with n probes the error in units of the standard error follows Student's law with n - 1 degrees
    data, schedule = GaussianData.correlated(24), LinearVP()
    x = data.sample(600)
    found = log_likelihood(
        data.denoiser(schedule), schedule, x, trace=trace, rtol=1e-4, atol=1e-4, generator=generator()
    )
    exact = log_likelihood(data.denoiser(schedule), schedule, x, trace=ExactTrace(), rtol=1e-4, atol=1e-4)
    score = (found.log_prob - exact.log_prob) / found.standard_error
    student_95 = 3.182
    assert float((score.abs() < student_95).double().mean()) == pytest.approx(0.95, abs=0.03)
    spread = (found.log_prob - exact.log_prob).square().mean() / found.standard_error.square().mean()
    assert float(spread.sqrt()) == pytest.approx(1, abs=0.1)


def test_a_space_of_nearly_all_dimensions_turns_smoothly():
    # a sketch of signs holds the same vector twice now and then, and the solver never comes to an end
    data, schedule = GaussianData.correlated(6), LinearVP()
    for seed in range(8):
        x = data.sample(2, seed=seed)
        found = log_likelihood(data.denoiser(schedule), schedule, x, trace=HutchPP(5, 2), generator=generator(seed))
        assert found.num_calls < 150


def test_more_probes_narrow_the_error_as_the_root_of_their_number():
    data, schedule, x = GaussianData.correlated(24), LinearVP(), GaussianData.correlated(24).sample(200)
    few, many = (
        log_likelihood(
            data.denoiser(schedule), schedule, x, trace=Hutchinson(n), rtol=1e-3, atol=1e-3, generator=generator()
        )
        for n in (4, 64)
    )
    ratio = few.standard_error.square().mean() / many.standard_error.square().mean()
    assert float(ratio) == pytest.approx(16, rel=0.2)
    assert float(many.bits_error.mean()) == pytest.approx(float(many.standard_error.mean()) / (24 * math.log(2)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(12,), (3, 2, 2), (1, 12)])
@pytest.mark.parametrize("trace", [ExactTrace(at_once=5), Hutchinson(3), HutchPP(2, 2), None])
def test_vectors_and_images_in_both_precisions_have_the_same_likelihood(shape, dtype, trace):
    data, schedule = GaussianData.correlated(12), LinearVP()
    x = data.sample(3)
    expected = log_likelihood(data.denoiser(schedule), schedule, x, trace=trace, generator=generator())
    found = log_likelihood(
        data.denoiser(schedule), schedule, x.to(dtype).reshape(3, *shape), trace=trace, generator=generator()
    )
    assert found.log_prob.dtype == torch.float64
    assert found.log_prob.shape == (3,)
    assert found.dim == 12
    torch.testing.assert_close(found.log_prob, expected.log_prob, rtol=0, atol=2e-3)


def test_a_sample_is_worth_the_same_alone_and_together_with_others():
    data, schedule = GaussianData.correlated(8), DiscreteBetas()
    x = data.sample(4) * torch.tensor([0.1, 1, 5, 20])[:, None]
    together = log_likelihood(data.denoiser(schedule), schedule, x).log_prob
    alone = torch.cat([log_likelihood(data.denoiser(schedule), schedule, x[i : i + 1]).log_prob for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-10)


class Attention(nn.Module):
    """A small image network with what real ones have: convolutions, group norm, attention, an embedding of t."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 2, 3, padding=1)
        self.norm, self.time = nn.GroupNorm(2, 8), nn.Linear(1, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        h = nn.functional.silu(self.norm(self.enter(x)) + self.time(t[:, None])[..., None, None])
        tokens = h.flatten(2).mT
        attended = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        out: Tensor = self.leave(h + attended.mT.reshape(h.shape))
        return out


def test_a_network_with_attention_and_norms_can_be_integrated_and_keeps_no_gradient():
    torch.manual_seed(0)
    network, schedule = Attention().eval(), LinearVP()
    x = torch.randn(2, 2, 3, 3)
    denoise = NetworkDenoiser(network, schedule, V())
    exact = log_likelihood(denoise, schedule, x, trace=ExactTrace(), rtol=1e-2, atol=1e-2)
    with torch.no_grad():
        probed = log_likelihood(denoise, schedule, x, trace=Hutchinson(32), rtol=1e-2, atol=1e-2, generator=generator())
    assert ((probed.log_prob - exact.log_prob).abs() < 5 * probed.standard_error + 0.1).all()
    assert not exact.log_prob.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())


def test_bins_turn_densities_into_probabilities_of_whole_numbers():
    # data are integers times a width, of a wide Gaussian: the bits of a bin are those of the density less the width
    data, schedule, width = GaussianData.correlated(4), LinearVP(), 0.01
    x = (data.sample(2000) / width).round() * width
    bins = Bins(width=width, low=-10, high=10)
    found = log_likelihood(data.denoiser(schedule), schedule, x, bins=bins, generator=generator())
    expected = -(data.log_prob(x) / (4 * math.log(2))) - math.log2(width)
    assert float(found.bits_per_dim.mean()) == pytest.approx(float(expected.mean()), abs=2e-3)
    assert found.bins == bins
    noise = bins.dequantize(x, generator()) - x
    assert noise.abs().max() <= width / 2
    assert float(noise.std()) == pytest.approx(width / math.sqrt(12), rel=0.02)


def test_8_bit_images_of_uniform_noise_have_8_bits():
    assert Bins().width == 2 / 255
    uniform = -math.log(2 + Bins().width)  # density of values spread over all bins
    assert -uniform / math.log(2) - math.log2(Bins().width) == pytest.approx(8)


def test_the_prior_mismatch_is_the_divergence_from_the_prior():
    schedule, x0 = LinearVP(0.1, 5.0), torch.randn(3, 2, 2, dtype=torch.float64)
    alpha, sigma = (c(torch.ones((), dtype=torch.float64)) for c in (schedule.alpha, schedule.sigma))
    given, prior = (torch.distributions.Normal(mean, sigma) for mean in (alpha * x0, torch.zeros_like(x0)))
    expected = torch.distributions.kl_divergence(given, prior).flatten(1).sum(1)
    torch.testing.assert_close(prior_divergence(schedule, x0), expected)


def test_what_the_prior_costs_is_within_what_is_reported():
    schedule, data = LinearVP(0.1, 3.0), GaussianData.correlated(6, shift=1.0)
    x = data.sample(4000)
    found = log_likelihood(data.denoiser(schedule), schedule, x, rtol=1e-4, atol=1e-4)
    loss = float((data.log_prob(x) - found.log_prob + found.truncation).mean())
    assert 0.05 < loss < float(found.prior_mismatch.mean())


class TestTraces:
    matrix = torch.randn(3, 7, 7, dtype=torch.float64, generator=generator(5))

    def products(self, v: Tensor) -> Tensor:
        return torch.einsum("nbd,bde->nbe", v, self.matrix)

    @property
    def truth(self) -> Tensor:
        return self.matrix.diagonal(dim1=1, dim2=2).sum(1)

    def estimate(self, trace: Trace, seed: int = 0) -> Tensor:
        return trace(self.products, trace.probes(torch.zeros(3, 7, dtype=torch.float64), generator(seed)))

    @pytest.mark.parametrize("at_once", [1, 3, 100])
    def test_all_dimensions_in_turn_are_exact(self, at_once: int):
        torch.testing.assert_close(self.estimate(ExactTrace(at_once))[:, 0], self.truth)

    @pytest.mark.parametrize("trace", [Hutchinson(40_000), HutchPP(3, 40_000)])
    def test_random_signs_are_right_in_the_mean(self, trace: Trace):
        columns = self.estimate(trace)
        error = columns.std(1) / math.sqrt(columns.shape[1])
        assert ((columns.mean(1) - self.truth).abs() < 4 * error).all()

    def test_a_diagonal_needs_one_sign_per_dimension_only(self):
        diagonal = torch.arange(7.0, dtype=torch.float64)
        signs = Hutchinson(2).probes(torch.zeros(3, 7, dtype=torch.float64), generator())
        columns = Hutchinson(2)(lambda v: v * diagonal, signs)
        assert columns.tolist() == [[21, 21]] * 3

    def test_a_matrix_of_low_rank_is_exact_with_as_many_directions(self):
        left, right = torch.randn(2, 7, 2, dtype=torch.float64, generator=generator(1))
        matrix = left @ right.T
        trace = HutchPP(rank=2, num_probes=2)
        probes = trace.probes(torch.zeros(1, 7, dtype=torch.float64), generator())
        columns = trace(lambda v: v @ matrix, probes)
        torch.testing.assert_close(columns, matrix.trace().expand(1, 2))

    def test_signs_are_signs_and_come_from_the_generator(self):
        x = torch.zeros(5, 8, dtype=torch.float32)
        signs = random_signs(100, x, generator(7))
        assert signs.dtype == torch.float32
        assert set(signs.unique().tolist()) == {-1.0, 1.0}
        assert signs.equal(random_signs(100, x, generator(7)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d, s: log_likelihood(d, s, torch.zeros(3)), r"shape \[batch, ...\], got torch.float32 of shape \[3\]"),
        (lambda d, s: log_likelihood(d, s, torch.zeros(3, 4, dtype=torch.uint8)), "torch.uint8"),
        (lambda d, s: log_likelihood(d, s, torch.zeros(0, 4)), r"shape \[0, 4\]"),
        (lambda d, s: Hutchinson(1), "num_probes is 1"),
        (lambda d, s: HutchPP(4, 1), "num_probes is 1"),
        (lambda d, s: log_likelihood(d, s, torch.zeros(3, 4), trace=HutchPP(4, 2)), "use ExactTrace"),
    ],
)
def test_what_has_no_likelihood_is_refused(call, message: str):
    data, schedule = GaussianData.correlated(4), LinearVP()
    with pytest.raises(OptionError, match=message):
        call(data.denoiser(schedule), schedule)

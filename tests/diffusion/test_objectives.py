"""The loss is what its name says, whatever the network predicts; and the article's reduction of the variance holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from kexue.diffusion.bound import large_variance, step_divergence
from kexue.diffusion.denoising import NetworkDenoiser
from kexue.diffusion.exact import MixtureData
from kexue.diffusion.objectives import (
    ELBO,
    OBJECTIVES,
    LastStep,
    LikelihoodWeighted,
    MinSNR,
    Objective,
    Simple,
    training_loss,
    unreduced_excess,
    unreduced_loss,
)
from kexue.diffusion.prediction import PARAMETERIZATIONS, X0, Denoiser, Prediction, Score, V
from kexue.diffusion.schedules import VE, ArticleSchedule, Cosine, LinearVP, Schedule, ZeroTerminalSNR
from kexue.diffusion.shapes import per_sample

OBJECTIVE_CASES = {
    **{name: make() for name, make in OBJECTIVES.items()},
    "simple_x0": Simple(of=X0()),
    "simple_v": Simple(of=V()),
    "simple_score": Simple(of=Score()),
}
every_objective = pytest.mark.parametrize("objective", OBJECTIVE_CASES.values(), ids=OBJECTIVE_CASES.keys())
SCHEDULE = LinearVP()


def biased(schedule: Schedule) -> Denoiser:
    """Wrong, but not at random."""

    def denoise(x_t: Tensor, t: Tensor) -> Prediction:
        alpha, sigma = per_sample(schedule.alpha(t), x_t), per_sample(schedule.sigma(t), x_t)
        return Prediction.from_v(torch.tanh(x_t) * 0.7 - 0.2, x_t, alpha, sigma)

    return denoise


def batch(shape: tuple[int, ...] = (3, 2, 4), seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, *shape, dtype=torch.float64, generator=generator)
    return x0, torch.tensor([0.1, 0.5, 0.95], dtype=torch.float64), eps


@every_objective
@pytest.mark.parametrize("schedule", [LinearVP(), VE()])
@pytest.mark.parametrize("kind", PARAMETERIZATIONS.values(), ids=PARAMETERIZATIONS.keys())
def test_the_loss_does_not_depend_on_what_the_network_says(objective: Objective, schedule: Schedule, kind):
    denoise, (x0, t, eps) = biased(schedule), batch()

    def network(seen: Tensor, t: Tensor) -> Tensor:
        said = denoise(schedule.add_noise(x0, eps, t), t)
        return kind().target(said.x0, said.eps, said.alpha, said.sigma)

    found = training_loss(NetworkDenoiser(network, schedule, kind()), schedule, objective, x0, t, eps)
    said = denoise(schedule.add_noise(x0, eps, t), t)
    right, wrong = (objective.of.target(a, b, said.alpha, said.sigma) for a, b in ((x0, eps), (said.x0, said.eps)))
    expected = objective.weight(schedule, t) * (right - wrong).square().mean((1, 2))
    torch.testing.assert_close(found, expected)


@every_objective
def test_knowing_the_noise_costs_nothing(objective: Objective):
    x0, t, eps = batch()

    def denoise(x_t: Tensor, t: Tensor) -> Prediction:
        return Prediction.from_eps(eps, x_t, per_sample(SCHEDULE.alpha(t), x_t), per_sample(SCHEDULE.sigma(t), x_t))

    assert training_loss(denoise, SCHEDULE, objective, x0, t, eps).tolist() == [0, 0, 0]


@every_objective
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_low_precision_is_left_for_the_loss(objective: Objective, dtype: torch.dtype):
    x0, t, eps = (z.to(dtype) for z in batch())
    loss = training_loss(biased(SCHEDULE), SCHEDULE, objective, x0, t.float(), eps)
    exact = training_loss(biased(SCHEDULE), SCHEDULE, objective, x0.double(), t.double(), eps.double())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), exact, rtol=0.05, atol=0)


def test_a_network_that_predicts_v_can_be_trained_where_no_signal_is_left():
    x0, _, eps = batch()
    schedule, t = ZeroTerminalSNR(), torch.ones(3)
    for objective in (Simple(), Simple(of=V()), Simple(of=X0()), MinSNR(), LastStep(), ELBO(), LikelihoodWeighted()):
        denoise = NetworkDenoiser(lambda x, t: x, schedule, V())
        assert training_loss(denoise, schedule, objective, x0, t, eps).isfinite().all()


def eps_weight(objective: Objective, schedule: Schedule, t: Tensor) -> Tensor:
    """What the squared error of eps is multiplied with."""
    of_eps = {"eps": 1.0, "x0": schedule.sigma(t) / schedule.alpha(t), "score": 1 / schedule.sigma(t)}
    name = next(name for name, kind in PARAMETERIZATIONS.items() if isinstance(objective.of, kind))
    return objective.weight(schedule, t) * of_eps[name] ** 2


def test_weights_in_the_papers_terms():
    t = torch.tensor([0.05, 0.3, 0.8], dtype=torch.float64)
    snr = SCHEDULE.log_snr(t).exp()
    torch.testing.assert_close(eps_weight(MinSNR(5.0), SCHEDULE, t), snr.clamp(max=5) / snr)
    torch.testing.assert_close(eps_weight(Simple(of=X0()), SCHEDULE, t), 1 / snr)  # 9164: (sigma / alpha)^2
    b = 0.1 * t + 19.9 / 2 * t**2  # g^2 / sigma^2
    torch.testing.assert_close(eps_weight(LikelihoodWeighted(), SCHEDULE, t), (0.1 + 19.9 * t) / -torch.expm1(-b))


def test_the_weight_of_the_bound_is_the_articles():
    # 9152: beta^4 / (2 sigma^2 alpha^2 beta-bar^2) with sigma = beta, here from the chain's own numbers
    schedule, i = ArticleSchedule(), torch.tensor([1, 2, 500, 1000])
    alpha2 = 1 - 0.02 * i.double() / 1000
    beta2 = 1 - alpha2
    total2 = 1 - (1 - 0.02 * torch.arange(1, 1001, dtype=torch.float64) / 1000).cumprod(0)[i - 1]
    expected = 1000 * beta2**2 / (2 * beta2 * alpha2 * total2)
    torch.testing.assert_close(eps_weight(ELBO(1000), schedule, i / 1000), expected, rtol=1e-3, atol=0)
    torch.testing.assert_close(eps_weight(ELBO(1000), schedule, i.double() / 1000), expected)


def test_the_weighted_loss_is_the_bounds_term_but_for_a_constant():
    steps, t = 50, torch.tensor(0.6, dtype=torch.float64)
    s = t - 1 / steps
    posterior, variance = SCHEDULE.posterior(t, s), large_variance(SCHEDULE, t, s)
    ratio = posterior.variance / variance
    for miss in (0.0, 0.3, 2.0):
        term = step_divergence(SCHEDULE, t, s, torch.tensor(miss), variance, 1) - (ratio - 1 - ratio.log()) / 2
        torch.testing.assert_close(ELBO(steps).weight(SCHEDULE, t) * miss / steps, term)


def test_many_steps_of_the_bound_are_half_the_likelihood_weighting():
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    limit = eps_weight(LikelihoodWeighted(), SCHEDULE, t) / 2
    gaps = [float((eps_weight(ELBO(n), SCHEDULE, t) / limit - 1).abs().max()) for n in (1000, 10000)]
    assert gaps[0] < 0.02
    assert gaps[1] == pytest.approx(gaps[0] / 10, rel=0.05)


HERMITE = [torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(40)]


def expected_over_noises(loss) -> float:
    """E loss(x_0, first, second) for x_0 of -1 or 1 and two normal noises, by quadrature."""
    nodes, weights = HERMITE[0], HERMITE[1] / HERMITE[1].sum()
    x0, first, second = (
        z.reshape(-1, 1) for z in torch.meshgrid(torch.tensor([-1.0, 1.0]).double(), nodes, nodes, indexing="ij")
    )
    probability = (0.5 * weights[:, None] * weights).expand(2, -1, -1).reshape(-1)
    return float((probability * loss(x0, first, second)).sum())


@pytest.mark.parametrize("i", [1, 11, 501, 901])
def test_the_articles_loss_is_the_reduced_one_plus_what_nothing_can_predict(i: int):
    # E|eps_t - eps_theta|^2 = (beta^2/sigma^2) E|eps - (sigma/beta) eps_theta|^2 + d alpha^2 sigma_s^2 / sigma^2
    schedule = ArticleSchedule()

    def denoise(x_t: Tensor, t: Tensor) -> Prediction:
        return Prediction.from_eps(0.8 * x_t - 0.1, x_t, schedule.alpha(t)[:, None], schedule.sigma(t)[:, None])

    def times(x0: Tensor) -> Tensor:
        return torch.full((len(x0),), i / 1000, dtype=torch.float64)

    naive = expected_over_noises(lambda x0, a, b: unreduced_loss(denoise, schedule, 1000, x0, times(x0), a, b))
    reduced = expected_over_noises(lambda x0, a, b: training_loss(denoise, schedule, LastStep(), x0, times(x0), a))
    excess = float(unreduced_excess(schedule, 1000, torch.tensor(i / 1000, dtype=torch.float64)))
    assert naive == pytest.approx(reduced + excess, abs=1e-10)


@pytest.mark.parametrize(("i", "times"), [(11, 5.5), (101, 40), (501, 13), (901, 19)])
def test_the_gradient_of_the_articles_loss_varies_many_times_more(i: int, times: float):
    # a linear network eps = a x_t on data of -1 and 1, a half of what would be best: variance of the gradient in a
    schedule, num = ArticleSchedule(), 200_000
    generator = torch.Generator().manual_seed(i)
    x0 = 2.0 * torch.randint(0, 2, (num, 1), generator=generator).double() - 1
    first, second = torch.randn(2, num, 1, dtype=torch.float64, generator=generator)
    t = torch.full((num,), i / 1000, dtype=torch.float64)
    one = t[0]
    half = float(schedule.sigma(one)) / 2
    slope = torch.full((num, 1), half, dtype=torch.float64, requires_grad=True)

    def denoise(x_t: Tensor, t: Tensor) -> Prediction:
        return Prediction.from_eps(slope * x_t, x_t, schedule.alpha(t)[:, None], schedule.sigma(t)[:, None])

    naive = unreduced_loss(denoise, schedule, 1000, x0, t, first, second)
    reduced = training_loss(denoise, schedule, LastStep(), x0, t, first)
    variances = [float(torch.autograd.grad(loss.sum(), slope)[0].var()) for loss in (naive, reduced)]
    assert variances[0] / variances[1] > times


def test_the_two_noises_of_the_article_are_one_noise_and_one_that_is_independent_of_it():
    # sigma eps = alpha sigma_s eps_before + beta eps_step;  sigma omega = beta eps_before - alpha sigma_s eps_step
    schedule = ArticleSchedule()
    t, s = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.299, dtype=torch.float64)
    earlier = schedule.step_alpha(t, s) * schedule.sigma(s) / schedule.sigma(t)
    last = schedule.step_sigma(t, s) / schedule.sigma(t)
    turn = torch.stack((torch.stack((earlier, last)), torch.stack((last, -earlier))))
    torch.testing.assert_close(turn @ turn.T, torch.eye(2, dtype=torch.float64))


def test_denoising_score_matching_is_score_matching_plus_a_constant():
    # E|s - d log p(x_t|x_0)|^2 - E|s - d log p(x_t)|^2 is the same for every s
    data, schedule, t = MixtureData.three_modes(), Cosine(), torch.tensor([0.3], dtype=torch.float64)
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    x = torch.linspace(-4, 4, 4001, dtype=torch.float64)[:, None]
    noisy = data.at(schedule, 0.3)
    score = data.denoiser(schedule)(x, t.expand(len(x))).score[:, 0]
    # the conditional score's second moment given x_t, by integration over the eps that led there
    constants = []
    for candidate in (0 * score, -x[:, 0], torch.tanh(x[:, 0]), score):
        width = 8 / 4000
        explicit = (noisy.log_prob(x).exp() * (candidate - score).square()).sum() * width
        denoising = 0.0
        for share, mean, std in zip(data.weights, data.means[:, 0], data.stds, strict=True):
            joint = torch.distributions.Normal(mean, std)
            x0 = joint.icdf(torch.linspace(0.0005, 0.9995, 1000, dtype=torch.float64))
            eps = HERMITE[0]
            x_t = (alpha * x0[:, None] + sigma * eps).clamp(-4, 4)
            said = torch.from_numpy(np.interp(x_t.numpy(), x[:, 0].numpy(), candidate.numpy()))
            inner = ((said + eps / sigma).square() * HERMITE[1]).sum(1) / math.sqrt(2 * math.pi)
            denoising += float(share * inner.mean())
        constants.append(denoising - float(explicit))
    assert max(constants) - min(constants) < 2e-3
    assert constants[0] > 0.1

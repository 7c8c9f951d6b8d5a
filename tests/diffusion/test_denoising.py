"""Whatever a network predicts, and however it is guided or limited, x_0 and eps go on agreeing with x_t."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kexue.diffusion.denoising import ArticleDenoiser, Clip, DynamicClip, Guided, NetworkDenoiser, Thresholded
from kexue.diffusion.exact import GaussianData, MixtureData
from kexue.diffusion.prediction import PARAMETERIZATIONS, Denoiser, Eps, Levels, Parameterization, Prediction, V
from kexue.diffusion.schedules import VE, ArticleSchedule, LinearVP, Schedule, ZeroTerminalSNR
from kexue.diffusion.shapes import per_sample
from kexue.errors import OptionError

every_parameterization = pytest.mark.parametrize("kind", PARAMETERIZATIONS.values(), ids=PARAMETERIZATIONS.keys())
TIMES = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)


def network_of(denoise: Denoiser, kind: Parameterization) -> NetworkDenoiser:
    """A network that says what the exact denoiser knows, in another form."""

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        said = denoise(x_t, t)
        return kind.target(said.x0, said.eps, said.alpha, said.sigma)

    return network


def levels(schedule: Schedule, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return per_sample(schedule.alpha(t), x), per_sample(schedule.sigma(t), x)


@every_parameterization
@pytest.mark.parametrize("schedule", [LinearVP(), VE()])
def test_the_same_knowledge_gives_the_same_prediction_whatever_the_network_says(kind, schedule: Schedule):
    denoise, form = MixtureData.three_modes().denoiser(schedule), kind()
    ones = torch.ones(3, 1, dtype=torch.float64)
    scale = form.network_input(ones, Levels.of(*levels(schedule, ones, TIMES)))
    wrapped = NetworkDenoiser(lambda x, t: network_of(denoise, form)(x / scale, t), schedule, form)
    x_t = torch.randn(3, 1, dtype=torch.float64)
    torch.testing.assert_close(wrapped(x_t, TIMES).x0, denoise(x_t, TIMES).x0)
    torch.testing.assert_close(wrapped(x_t, TIMES).eps, denoise(x_t, TIMES).eps)


def test_a_network_in_the_articles_own_scaling_gives_the_same_prediction():
    schedule, steps = ArticleSchedule(), 1000
    denoise = GaussianData.correlated(4).denoiser(schedule)

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        return denoise(x_t, t).article_eps(schedule.step_sigma(t, t - 1 / steps)[:, None])

    x_t = torch.randn(3, 4, dtype=torch.float64)
    found = ArticleDenoiser(network, schedule, steps)(x_t, TIMES)
    torch.testing.assert_close(found.eps, denoise(x_t, TIMES).eps)


@every_parameterization
def test_noise_alone_is_refused_where_a_schedule_leaves_nothing_but_noise(kind: type[Parameterization]):
    for schedule in (ZeroTerminalSNR(), LinearVP()):
        if isinstance(schedule, ZeroTerminalSNR) and kind.__name__ in ("Eps", "Score"):
            with pytest.raises(OptionError, match="predict v"):
                NetworkDenoiser(lambda x, t: x, schedule, kind())
        else:
            NetworkDenoiser(lambda x, t: x, schedule, kind())


@pytest.mark.parametrize("kind", [Eps(), V()])
def test_guidance_extrapolates_from_without_to_with_the_condition(kind: Parameterization):
    schedule, x_t = LinearVP(), torch.randn(3, 4, dtype=torch.float64)
    with_it, without = (
        NetworkDenoiser(network_of(GaussianData.correlated(4, seed=seed).denoiser(schedule), kind), schedule, kind)
        for seed in (1, 2)
    )
    for scale in (0.0, 1.0, 7.5):
        said = Guided(with_it, without, scale)(x_t, TIMES)
        a, b = without(x_t, TIMES), with_it(x_t, TIMES)
        torch.testing.assert_close(said.eps, a.eps + scale * (b.eps - a.eps))
        torch.testing.assert_close(said.x0, a.x0 + scale * (b.x0 - a.x0))


def test_guidance_of_gaussians_is_the_product_of_their_powers():
    # the guided score is that of p_with^w p_without^(1-w): for one variance a Gaussian of the extrapolated mean
    schedule, t = LinearVP(), torch.full((1,), 0.4, dtype=torch.float64)
    one, two, three = (GaussianData.scalar(mean, 0.3).denoiser(schedule) for mean in (1.0, 0.5, 2.0))
    x_t = torch.tensor([[0.2]], dtype=torch.float64)
    torch.testing.assert_close(Guided(one, two, 3.0)(x_t, t).score, three(x_t, t).score)


def test_guidance_by_two_that_predict_different_things_is_refused():
    schedule = LinearVP()
    one, other = (NetworkDenoiser(lambda x, t: x, schedule, kind) for kind in (Eps(), V()))
    with pytest.raises(OptionError, match=r"predict the same thing, got Eps.* and V"):
        Guided(one, other, 2.0)(torch.zeros(1, 2), torch.ones(1))


@pytest.mark.parametrize("threshold", [Clip(), Clip(-0.5, 0.2), DynamicClip(), DynamicClip(0.7, 0.5)])
@every_parameterization
def test_a_limited_x0_comes_with_the_eps_that_belongs_to_it(threshold, kind: type[Parameterization]):
    # diffusers keeps the eps of the x_0 before: pixel distance .76 at 50 steps, 3.05 at 1000
    schedule = LinearVP()
    free = NetworkDenoiser(lambda x, t: 0.3 * x, schedule, kind())
    x_t = 3 * torch.randn(3, 2, 4, 4, dtype=torch.float64)
    said = Thresholded(free, threshold)(x_t, TIMES)
    alpha, sigma = levels(schedule, x_t, TIMES)
    torch.testing.assert_close(said.x0, threshold(free(x_t, TIMES).x0))
    torch.testing.assert_close(alpha * said.x0 + sigma * said.eps, x_t)
    assert not torch.allclose(said.eps, free(x_t, TIMES).eps)


def test_static_limits_hold_for_every_value():
    assert Clip(-1, 2)(torch.tensor([[-3.0, 0.5, 5.0]])).tolist() == [[-1, 0.5, 2]]


def test_dynamic_limits_are_each_samples_own():
    x0 = torch.stack((torch.linspace(-0.5, 0.5, 101), torch.linspace(-4, 4, 101)))
    limited = DynamicClip(quantile=0.9)(x0)
    torch.testing.assert_close(limited[0], x0[0])
    reach = torch.quantile(x0[1].abs(), 0.9)
    torch.testing.assert_close(limited[1], (x0[1] / reach).clamp(-1, 1))
    for i in range(2):
        torch.testing.assert_close(DynamicClip(quantile=0.9)(x0[i : i + 1])[0], limited[i])


@pytest.mark.parametrize("threshold", [Clip(), DynamicClip()])
def test_limits_keep_the_precision_and_the_shape(threshold):
    x0 = 3 * torch.randn(2, 3, 4, 4).to(torch.bfloat16)
    assert threshold(x0).dtype == torch.bfloat16
    assert threshold(x0).shape == x0.shape


def test_wrappers_can_be_nested():
    schedule, x_t = LinearVP(), torch.randn(3, 4)
    plain = NetworkDenoiser(lambda x, t: 0.1 * x, schedule, V())
    said = Thresholded(Guided(plain, plain, 2.0), Clip())(x_t, TIMES)
    assert isinstance(said, Prediction)
    torch.testing.assert_close(said.x0, plain(x_t, TIMES).x0.clamp(-1, 1))

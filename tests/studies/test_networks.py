"""The small networks of the diffusion studies, and what judges their samples."""

from __future__ import annotations

import pytest
import torch

from kexue.diffusion import DDIM, ArticleSchedule, Simple
from kexue.diffusion.exact import MixtureData, f64
from kexue.studies.digits import DIM, digits, draw
from kexue.studies.laws import entropy, levels, sampled, second_moment, uncertainty, wasserstein
from kexue.studies.networks import NORMS, SCHEDULE, Form, Training, draw_times, loss_of, make, train


@pytest.mark.parametrize("form", [Form(32, 1, norm) for norm in NORMS] + [Form(32, 1, table=True)], ids=str)
def test_every_form_learns_and_a_seed_decides_all(form: Form):
    x = digits().train[:200]
    losses = []
    for _ in range(2):
        denoise, _ = train(make(DIM, form, 3), loss_of(Simple()), x, Training(60, 32, 3e-3, ema=0.0), 3)
        with torch.no_grad():
            losses.append(float(loss_of(Simple())(denoise, x.repeat(5, 1, 1, 1), torch.Generator().manual_seed(1))))
    assert losses[0] == losses[1] < 0.9


def test_times_are_those_of_the_chain_and_no_others():
    drawn = draw_times(4000, torch.Generator().manual_seed(0), torch.device("cpu"), torch.tensor([0.25, 0.5, 1.0]))
    values, counts = drawn.unique(return_counts=True)
    assert values.tolist() == [0.25, 0.5, 1.0] and counts.min() > 1200
    every = draw_times(4000, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert every.min() > 0 and every.max() <= 1 and len(every.unique()) > 950


def test_real_digits_are_judged_good_and_others_bad():
    data = digits()
    real = data.judge(data.held_out)
    assert real.distance == pytest.approx(0, abs=1e-6) and real.noise == pytest.approx(1) and 0.9 < real.spread < 1.1
    noisy = data.judge(
        data.held_out + 0.3 * torch.randn(data.held_out.shape, generator=torch.Generator().manual_seed(0))
    )
    assert noisy.noise > 1.2 and noisy.distance > data.floor
    same = data.judge(data.held_out[:1].repeat(300, 1, 1, 1))
    assert same.spread < 0.01 and same.distance > 10 * data.floor


def test_train_and_held_out_digits_share_none():
    data = digits()
    assert len(data.train) + len(data.held_out) == 1797
    assert torch.cdist(data.train.flatten(1), data.held_out.flatten(1)).min() > 0


def test_drawn_digits_begin_with_one_noise_whatever_the_sampler():
    denoise, _ = train(make(DIM, Form(16, 1), 0), loss_of(Simple()), digits().train, Training(2, 8), 0)
    one, other = (draw(denoise, DDIM(eta), 3, 4, 5) for eta in (0.0, 0.0))
    assert torch.equal(one, other) and not torch.equal(one, draw(denoise, DDIM(0.0), 3, 4, 6))


def test_the_distance_of_a_law_to_itself_shrinks_and_a_shift_is_seen():
    data = MixtureData.three_modes()
    exact = data.quantiles(levels(1000))[:, None]
    assert wasserstein(exact, data) == (0.0, 0.0)
    assert wasserstein(exact + 0.25, data) == pytest.approx((0.25, 0.25))
    assert wasserstein(data.sample(4000), data)[1] < wasserstein(data.sample(40), data)[1]


def test_quantiles_turn_back_the_cumulative_law():
    data = MixtureData.three_modes()
    x = data.quantiles(f64([0.1, 0.5, 0.9]))
    share = (data.weights * torch.special.ndtr((x[:, None] - data.means[:, 0]) / data.stds)).sum(1)
    torch.testing.assert_close(share, f64([0.1, 0.5, 0.9]), atol=1e-12, rtol=0)


def test_what_is_not_known_of_the_data_is_that_of_the_closed_form():
    schedule, std = ArticleSchedule(), 0.5
    data = MixtureData(f64([1.0]), f64([[0.3]]), f64([std]))
    for t in (0.01, 0.3, 1.0):
        alpha, sigma = (float(c(f64(t))) for c in (schedule.alpha, schedule.sigma))
        assert uncertainty(data, schedule, t) == pytest.approx(
            std**2 * sigma**2 / (alpha**2 * std**2 + sigma**2), rel=1e-8
        )
    assert second_moment(data) == pytest.approx(0.34)
    assert entropy(data) == pytest.approx(0.5 * float(torch.log(2 * torch.pi * f64(std**2))) + 0.5, rel=1e-10)


def test_samples_come_near_the_law_of_the_data_as_steps_grow():
    data = MixtureData.three_modes()
    few, many = (
        wasserstein(sampled(data, SCHEDULE, DDIM(0.0), steps, 4000, torch.Generator().manual_seed(0)), data)[1]
        for steps in (20, 200)
    )
    assert many < 0.02 < 0.05 < few

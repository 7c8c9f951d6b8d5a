"""The laws of noise against scipy's, against their own samples, and against their declared facts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from kexue.distributions.noise import NOISES, Cauchy, CustomNoise, Exponential, Noise, Normal, StudentT
from kexue.distributions.probabilities import expected_max
from kexue.errors import OptionError

SCIPY = {
    "gumbel": stats.gumbel_r,
    "normal": stats.norm,
    "logistic": stats.logistic,
    "laplace": stats.laplace,
    "exponential": stats.expon,
    "uniform": stats.uniform,
    "triangular": stats.triang(0.5, -1, 2),
    "student_t": stats.t(3),
    "cauchy": stats.cauchy,
}
EVERY = pytest.mark.parametrize("noise", [law() for law in NOISES.values()], ids=list(NOISES))


def grid(noise: Noise) -> torch.Tensor:
    """Points inside the support, also far out."""
    low, high = max(noise.lower, -40.0), min(noise.upper, 40.0)
    margin = (high - low) * 1e-3
    return torch.linspace(low + margin, high - margin, 401, dtype=torch.float64)


@pytest.mark.parametrize("name", list(SCIPY))
@pytest.mark.parametrize("method", ["cdf", "log_cdf", "log_pdf", "log_survival"])
def test_a_law_agrees_with_scipy_also_in_its_tails(name: str, method: str) -> None:
    noise = NOISES[name]()
    z = grid(noise)
    theirs = {"cdf": "cdf", "log_cdf": "logcdf", "log_pdf": "logpdf", "log_survival": "logsf"}[method]
    expected = torch.from_numpy(getattr(SCIPY[name], theirs)(z.numpy()))
    trusted = expected.isfinite() & ((expected < -1e-12) | (expected > 0))
    torch.testing.assert_close(getattr(noise, method)(z)[trusted], expected[trusted], rtol=1e-9, atol=1e-14)


def test_the_negated_exponential_mirrors_the_exponential() -> None:
    z = torch.linspace(0.01, 700, 300, dtype=torch.float64)
    mirrored, noise = NOISES["negated_exponential"](), Exponential()
    torch.testing.assert_close(mirrored.log_cdf(-z), noise.log_survival(z))
    torch.testing.assert_close(mirrored.log_survival(-z), noise.log_cdf(z))
    torch.testing.assert_close(mirrored.log_pdf(-z), noise.log_pdf(z))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_log_cdf_of_the_normal_law_is_right_where_erfc_has_underflowed(dtype: torch.dtype) -> None:
    z = -torch.logspace(-3, 2, 500, dtype=dtype)
    expected = torch.from_numpy(stats.norm.logcdf(z.double().numpy()))
    tolerance = 2e-6 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(Normal().log_cdf(z).double(), expected, rtol=tolerance, atol=0)


@EVERY
def test_the_quantile_function_inverts_the_cdf(noise: Noise) -> None:
    u = torch.tensor([1e-9, 0.01, 0.3, 0.5, 0.77, 0.999, 1 - 1e-9], dtype=torch.float64)
    torch.testing.assert_close(noise.cdf(noise.icdf(u)), u, rtol=1e-7, atol=1e-14)


@EVERY
def test_the_derivative_of_the_log_cdf_is_the_reverse_hazard(noise: Noise) -> None:
    z = noise.icdf(torch.linspace(0.02, 0.97, 20, dtype=torch.float64)).requires_grad_()
    (gradient,) = torch.autograd.grad(noise.log_cdf(z).sum(), z)
    torch.testing.assert_close(gradient, noise.log_reverse_hazard(z).exp())
    step = 1e-6
    difference = (noise.log_cdf(z + step) - noise.log_cdf(z - step)) / (2 * step)
    torch.testing.assert_close(gradient, difference, rtol=1e-5, atol=1e-7)


@EVERY
def test_the_log_survival_has_its_gradient_inside_and_outside_the_support(noise: Noise) -> None:
    z = torch.cat([grid(noise), torch.tensor([noise.lower - 1, noise.upper + 1, 0.0], dtype=torch.float64)])
    z = z[z.isfinite()].requires_grad_()
    log_survival = noise.log_survival(z)
    (gradient,) = torch.autograd.grad(log_survival.sum(), z)
    log_pdf = noise.log_pdf(z)
    hazard = torch.where(log_pdf == -torch.inf, 0.0, (log_pdf - log_survival).exp())
    torch.testing.assert_close(gradient, -hazard, rtol=1e-9, atol=1e-14)


@EVERY
def test_outside_the_support_there_is_nothing(noise: Noise) -> None:
    for end, inside in ((noise.lower, 0.0), (noise.upper, 1.0)):
        if math.isfinite(end):
            z = torch.tensor([end + (-1 if end == noise.lower else 1) * 0.3], dtype=torch.float64)
            assert noise.cdf(z).item() == inside
            assert noise.pdf(z).item() == 0
            assert noise.log_reverse_hazard(z).item() == -math.inf


@EVERY
def test_the_scale_stretches_a_law(noise: Noise) -> None:
    wide = type(noise)(scale=3.0)
    z = grid(noise)
    torch.testing.assert_close(wide.log_cdf(3 * z), noise.log_cdf(z))
    torch.testing.assert_close(wide.pdf(3 * z), noise.pdf(z) / 3)
    u = torch.tensor([0.2, 0.8], dtype=torch.float64)
    torch.testing.assert_close(wide.icdf(u), 3 * noise.icdf(u))


@EVERY
def test_samples_follow_the_cdf(noise: Noise) -> None:
    """Kolmogorov-Smirnov; the seed is fixed, a right sampler fails for one seed in 10,000."""
    draws = noise.sample((200, 100), torch.Generator().manual_seed(3), dtype=torch.float64)
    assert draws.shape == (200, 100)
    assert stats.kstest(noise.cdf(draws).numpy().ravel(), "uniform").pvalue > 1e-4


@EVERY
def test_samples_repeat_with_the_generator_and_come_in_the_dtype_asked_for(noise: Noise) -> None:
    one, other = (noise.sample((50,), torch.Generator().manual_seed(1), dtype=torch.bfloat16) for _ in range(2))
    assert one.dtype == torch.bfloat16
    assert torch.equal(one, other)


@EVERY
def test_the_declared_facts_are_true(noise: Noise) -> None:
    z = grid(noise)
    log_pdf = noise.log_pdf_standard(z)
    bend = log_pdf[2:] - 2 * log_pdf[1:-1] + log_pdf[:-2]
    assert bool((bend <= 1e-9).all()) == noise.log_concave
    centre = noise.icdf_standard(torch.tensor([0.5], dtype=torch.float64))
    offset = torch.linspace(0.05, 0.45, 9, dtype=torch.float64)
    left, right = noise.pdf(centre - offset), noise.pdf(centre + offset)
    assert bool(torch.isclose(left, right).all()) == noise.symmetric
    ratio = noise.log_survival_standard(torch.tensor([1e6, 1e7], dtype=torch.float64))
    assert bool((ratio[1] - ratio[0]).abs() < 20) == (noise.heavy_tailed and not noise.bounded_above)
    assert noise.sparse == (math.isfinite(noise.lower) and math.isfinite(noise.upper))


def test_samples_of_many_classes_do_not_tie_in_float32() -> None:
    """A uniform float32 through -log(-log(u)) has 2^24 values, and the largest of many classes ties."""
    draws = NOISES["gumbel"]().sample((4_000_000,), torch.Generator().manual_seed(0))
    top = draws.topk(50).values
    assert len(top.unique()) == 50


def test_student_with_one_degree_of_freedom_is_cauchy() -> None:
    z = torch.linspace(-1e4, 1e4, 301, dtype=torch.float64)
    torch.testing.assert_close(StudentT(df=1.0).log_cdf(z), Cauchy().log_cdf(z), rtol=1e-10, atol=1e-13)
    assert not StudentT(df=1.0).has_mean
    assert StudentT(df=1.5).has_mean


@pytest.mark.parametrize("df", [0.4, 2.5, 30.0, 400.0])
def test_student_takes_any_degrees_of_freedom(df: float) -> None:
    z = torch.from_numpy(np.concatenate([-np.geomspace(1e-3, 1e5, 60), np.geomspace(1e-3, 1e5, 60)]))
    expected = torch.from_numpy(stats.t(df).logcdf(z.numpy()))
    held = expected > -700  # scipy takes the logarithm of what has underflowed
    torch.testing.assert_close(StudentT(df=df).log_cdf(z)[held], expected[held], rtol=1e-8, atol=1e-13)


def sigmoid_slope(z: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(z) * torch.sigmoid(-z)


def test_a_custom_law_is_as_good_as_its_functions() -> None:
    own = CustomNoise(cdf_function=torch.sigmoid, pdf_function=sigmoid_slope)
    z = torch.linspace(-20, 20, 41, dtype=torch.float64)
    torch.testing.assert_close(own.log_cdf(z), NOISES["logistic"]().log_cdf(z))
    torch.testing.assert_close(own.icdf(torch.tensor([0.25])), NOISES["logistic"]().icdf(torch.tensor([0.25])))
    draws = own.sample((20_000,), torch.Generator().manual_seed(3), dtype=torch.float64)
    assert stats.kstest(draws.numpy(), "logistic").pvalue > 1e-4


def test_a_custom_law_with_logarithms_of_its_own_is_right_where_the_others_underflow() -> None:
    logistic, z = NOISES["logistic"](), torch.tensor([-1000.0, 0.0, 1000.0], dtype=torch.float64)
    own = CustomNoise(
        cdf_function=torch.sigmoid,
        pdf_function=sigmoid_slope,
        log_cdf_function=logistic.log_cdf,
        log_pdf_function=logistic.log_pdf,
    )
    torch.testing.assert_close(own.log_cdf(z), logistic.log_cdf(z))
    torch.testing.assert_close(own.log_pdf(z), logistic.log_pdf(z))


def test_a_custom_law_may_have_no_mean() -> None:
    cauchy = Cauchy()
    own = CustomNoise(cdf_function=cauchy.cdf, pdf_function=cauchy.pdf, power_tailed=True, mean_exists=False)
    with pytest.raises(OptionError, match="has no mean"):
        expected_max(torch.zeros(2), own)


def test_the_log_cdf_goes_through_vmap() -> None:
    z = torch.linspace(-3, 3, 12, dtype=torch.float64).view(3, 4)
    torch.testing.assert_close(torch.func.vmap(Normal().log_cdf, in_dims=1, out_dims=1)(z), Normal().log_cdf(z))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(scale=0.0), "scale"),
        (lambda: Normal(scale=math.nan), "scale"),
        (lambda: StudentT(df=-1.0), "degrees of freedom"),
        (lambda: CustomNoise(), "cdf_function"),
        (lambda: CustomNoise(cdf_function=torch.sigmoid, pdf_function=torch.sigmoid, support=(1.0, 0.0)), "support"),
        (lambda: CustomNoise(cdf_function=torch.sigmoid, pdf_function=torch.sigmoid, width=0.0), "width"),
    ],
)
def test_a_law_that_is_none_is_refused(make: object, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()  # type: ignore[operator]

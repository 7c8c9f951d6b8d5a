"""What holds for every law, shape and scale: a table of cases run through all properties.

The laws are those of `NOISES`, so a new one is tested without a line here. Truths: the axioms of archives/9085, the
closed forms of two classes, reference values, and draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch.testing import assert_close

from kexue.distributions import (
    NOISES,
    Gumbel,
    Noise,
    Normal,
    PerturbedArgmax,
    expected_max,
    operators,
    perturbed_argmax_log_probs,
    perturbed_argmax_probs,
)
from kexue.distributions.accuracy import Accuracy
from kexue.distributions.probabilities import algorithm_for
from kexue.errors import OptionError

SHAPES = [(1,), (2,), (7,), (2, 3, 4), (100,)]
SCALES = torch.tensor([0.0, 0.01, 1.0, 30.0], dtype=torch.float64)
LAWS: dict[str, Noise] = {name: law() for name, law in NOISES.items()} | {"gumbel of scale 0.3": Gumbel(scale=0.3)}
FALSE_ALARM = 1e-6
"""How often the test of frequencies would fail for a right law, if its seed were drawn anew."""


@dataclass(frozen=True)
class Case:
    """Locations of all scales, float64[scales, *shape], drawn with a seed that the shape decides, and a law."""

    law: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.law} {'x'.join(map(str, self.shape))}"

    @property
    def noise(self) -> Noise:
        return LAWS[self.law]

    @property
    def loc(self) -> Tensor:
        return SCALES.view(-1, *(1,) * len(self.shape)) * locations(*self.shape)

    @property
    def probs(self) -> Tensor:
        return computed(perturbed_argmax_probs, self)

    @property
    def log_probs(self) -> Tensor:
        return computed(perturbed_argmax_log_probs, self)


@cache
def computed(function: Callable[[Tensor, Noise], Tensor], case: Case) -> Tensor:
    return function(case.loc, case.noise)


def locations(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


CASES = [Case(*values) for values in product(LAWS, SHAPES)]
each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_small_case = pytest.mark.parametrize("case", [case for case in CASES if case.shape == (7,)], ids=str)
each_law = pytest.mark.parametrize("noise", LAWS.values(), ids=LAWS)
each_law_with_mean = pytest.mark.parametrize(
    "noise", [noise for noise in LAWS.values() if noise.has_mean], ids=[n for n, law in LAWS.items() if law.has_mean]
)


@each_case
def test_probabilities_are_a_point_of_the_simplex(case: Case):
    assert case.probs.shape == case.loc.shape and case.probs.dtype == torch.float64
    assert (case.probs >= 0).all()
    assert_close(case.probs.sum(-1), torch.ones_like(case.probs.sum(-1)), atol=4e-15, rtol=0)


@each_case
def test_log_probabilities_are_the_logarithms(case: Case):
    assert_close(case.log_probs.exp(), case.probs, atol=1e-12, rtol=0)
    assert (case.log_probs <= 1e-15).all()


@each_case
def test_a_common_shift_changes_nothing(case: Case):
    assert_close(perturbed_argmax_probs(case.loc + 8.0, case.noise), case.probs, atol=1e-12, rtol=0)


@each_case
def test_the_order_of_the_locations_is_kept(case: Case):
    order = case.loc.argsort(-1)
    assert (case.probs.gather(-1, order).diff(dim=-1) >= -1e-15).all()
    assert (case.log_probs.nan_to_num(neginf=-1e9).gather(-1, order).diff(dim=-1) >= -1e-9).all()


@each_case
def test_equal_locations_have_equal_probabilities(case: Case):
    first, second = perturbed_argmax_probs(torch.cat([case.loc, case.loc], -1), case.noise).chunk(2, -1)
    assert_close(first, second, atol=1e-15, rtol=0)


@each_case
def test_classes_in_another_order_have_the_same_probabilities(case: Case):
    order = torch.randperm(case.shape[-1], generator=torch.Generator().manual_seed(0))
    permuted = perturbed_argmax_probs(case.loc[..., order], case.noise)
    assert_close(permuted, case.probs[..., order], atol=1e-13, rtol=0)


@each_case
def test_a_class_that_is_absent_leaves_the_others_as_they_would_be_without_it(case: Case):
    loc = torch.nn.functional.pad(case.loc, (1, 0), value=-torch.inf)
    probs, log_probs = (f(loc, case.noise) for f in (perturbed_argmax_probs, perturbed_argmax_log_probs))
    assert_close(probs[..., 1:], case.probs, atol=1e-12, rtol=0)
    assert_close(log_probs[..., 1:], case.log_probs, atol=1e-12, rtol=1e-10)
    assert (probs[..., 0] == 0).all() and log_probs[..., 0].isneginf().all()


@each_law
def test_with_little_noise_the_largest_location_wins_and_with_much_noise_all_do(noise: Noise):
    loc = torch.tensor([0.3, 1.0, -0.5, 0.8], dtype=torch.float64)
    one_hot = perturbed_argmax_probs(loc, replace(noise, scale=1e-9))
    assert_close(one_hot, torch.tensor([0.0, 1.0, 0.0, 0.0]).double(), atol=1e-6, rtol=0)
    uniform = perturbed_argmax_probs(loc, replace(noise, scale=1e6))
    assert_close(uniform, torch.full((4,), 0.25).double(), atol=1e-5, rtol=0)


@each_law
def test_only_the_ratio_of_locations_and_scale_counts(noise: Noise):
    loc = locations(7)
    probs = perturbed_argmax_probs(loc, noise)
    assert_close(perturbed_argmax_probs(4 * loc, replace(noise, scale=4 * noise.scale)), probs, atol=1e-14, rtol=0)


@each_small_case
def test_the_jacobian_is_symmetric_positive_semidefinite_and_its_rows_sum_to_zero(case: Case):
    jacobians = torch.func.vmap(torch.func.jacrev(lambda loc: perturbed_argmax_probs(loc, case.noise)))(case.loc)
    assert_close(jacobians, jacobians.mT, atol=1e-10, rtol=0)
    assert_close(jacobians.sum(-1), torch.zeros(4, 7, dtype=torch.float64), atol=1e-10, rtol=0)
    assert torch.linalg.eigvalsh((jacobians + jacobians.mT) / 2).min() > -1e-10
    off_diagonal = jacobians - torch.diag_embed(jacobians.diagonal(dim1=-2, dim2=-1))
    assert (off_diagonal < 1e-10).all(), "a larger location of one class never helps another"


@each_small_case
def test_the_probabilities_are_the_gradient_of_the_expected_largest(case: Case):
    if not case.noise.has_mean:
        return
    loc = case.loc.requires_grad_()
    (gradient,) = torch.autograd.grad(expected_max(loc, case.noise).sum(), loc)
    assert_close(gradient, case.probs, atol=1e-12, rtol=0)


@each_law_with_mean
def test_the_expected_largest_grows_by_the_integral_of_the_probabilities(noise: Noise):
    """So that the value, and not only the gradient, is that of one function: Simpson's rule along a line."""
    ends = torch.tensor([[0.3, 1.0, -0.5, 0.8], [0.1, 1.4, 0.2, 0.6]], dtype=torch.float64)
    t = torch.linspace(0, 1, 41, dtype=torch.float64).unsqueeze(-1)
    slopes = perturbed_argmax_probs(ends[0] + t * (ends[1] - ends[0]), noise) @ (ends[1] - ends[0])
    weights = torch.tensor([1.0] + [4.0, 2.0] * 19 + [4.0, 1.0], dtype=torch.float64) / 120
    low, high = expected_max(ends, noise)
    assert_close(high - low, slopes @ weights, atol=1e-6, rtol=0)


def two_classes(name: str) -> Callable[[float], float]:
    """P(the class that leads by d wins), for noise of scale 1."""
    return {
        "gumbel": lambda d: 1 / (1 + math.exp(-d)),
        "normal": lambda d: 0.5 * math.erfc(-d / 2),
        "uniform": lambda d: 1 - (1 - min(d, 1)) ** 2 / 2,
        "exponential": lambda d: 1 - math.exp(-d) / 2,
        "negated_exponential": lambda d: 1 - math.exp(-d) / 2,
        "laplace": lambda d: 1 - (2 + d) * math.exp(-d) / 4,
        "logistic": lambda d: math.exp(d) * (math.exp(d) - 1 - d) / (math.exp(d) - 1) ** 2,
        "cauchy": lambda d: 0.5 + math.atan(d / 2) / math.pi,
    }[name]


@pytest.mark.parametrize("lead", [0.05, 0.5, 0.95, 1.0, 2.5, 6.0])
@pytest.mark.parametrize(
    "name", ["gumbel", "normal", "uniform", "exponential", "negated_exponential", "laplace", "logistic", "cauchy"]
)
def test_two_classes_follow_the_closed_form(name: str, lead: float):
    probs = perturbed_argmax_probs(torch.tensor([lead, 0.0], dtype=torch.float64), LAWS[name])
    assert_close(probs[0].item(), two_classes(name)(lead), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gumbel", (0.393942, 0.195626, 0.087900, 0.322532)),
        ("normal", (0.437942, 0.173280, 0.046226, 0.342552)),
        ("exponential", (0.441450, 0.169624, 0.070210, 0.318716)),
        ("negated_exponential", (0.538159, 0.098121, 0.006831, 0.356889)),
        ("uniform", (0.6665, 0.0180, 0.0, 0.3155)),
    ],
)
def test_four_classes_have_the_reference_values(name: str, expected: tuple[float, ...]):
    loc = torch.tensor([1.0, 0.3, -0.5, 0.8], dtype=torch.float64)
    assert_close(
        perturbed_argmax_probs(loc, LAWS[name]), torch.tensor(expected, dtype=torch.float64), atol=6e-7, rtol=0
    )


def test_only_gumbel_keeps_the_ratio_of_two_when_a_third_appears():
    def ratios(name: str) -> list[float]:
        found = (
            perturbed_argmax_probs(torch.tensor(loc).double(), LAWS[name]) for loc in ([1.0, 0.0], [1.0, 0.0, 0.9])
        )
        return [(probs[0] / probs[1]).item() for probs in found]

    assert ratios("gumbel") == pytest.approx([math.e, math.e], abs=1e-12)
    assert ratios("normal") == pytest.approx([3.171, 3.857], abs=1e-3)
    assert ratios("exponential") == pytest.approx([4.437, 3.694], abs=1e-3)


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0])
@each_law
def test_draws_fall_as_often_as_the_probabilities_say(noise: Noise, scale: float):
    """Pearson's test; the false-alarm rate is that of `FALSE_ALARM`."""
    loc, num_draws = scale * locations(7), 40_000
    law = PerturbedArgmax(loc, noise)
    draws = law.sample((num_draws,), generator=torch.Generator().manual_seed(1))
    observed = draws.bincount(minlength=7).double()
    expected = num_draws * law.probs
    assert (observed[expected == 0] == 0).all()
    counted = expected >= 10
    counts = torch.stack([observed, expected])
    counts = torch.cat([counts[:, counted], counts[:, ~counted].sum(-1, keepdim=True)], -1)
    if counts[1, -1] < 10:  # what is still too rare joins the first class that is not
        counts[:, 0] += counts[:, -1]
        counts = counts[:, :-1]
    if counts.shape[-1] > 1:
        assert chisquare(*counts.numpy()).pvalue > FALSE_ALARM


@each_law
def test_a_probability_can_be_exactly_zero_only_where_the_noise_is_bounded_on_both_sides(noise: Noise):
    for gap in (0.5, 5.0, 50.0):
        loc = noise.scale * torch.tensor([0.0, 0.0, -gap], dtype=torch.float64)
        last = perturbed_argmax_log_probs(loc, noise)[-1]
        width = noise.upper - noise.lower
        assert last.isneginf() == (gap >= width)
        assert (perturbed_argmax_probs(loc, noise)[-1] == 0) == (gap >= width) or last < -30


@each_law
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(noise: Noise, dtype: torch.dtype):
    loc = locations(2, 3, 4).to(dtype)
    probs = perturbed_argmax_probs(loc, noise)
    assert probs.dtype == torch.float32
    assert_close(probs, perturbed_argmax_probs(loc.double(), noise).float(), atol=1e-6, rtol=0)
    leaf = loc.clone().requires_grad_()
    perturbed_argmax_probs(leaf, noise)[..., 0].sum().backward()
    assert leaf.grad is not None and leaf.grad.dtype == dtype and leaf.grad.isfinite().all()


@each_law
def test_any_dimension_can_hold_the_classes(noise: Noise):
    loc = locations(2, 3, 4)
    for function in (perturbed_argmax_probs, perturbed_argmax_log_probs):
        assert_close(function(loc, noise, 1), function(loc.movedim(1, -1), noise).movedim(-1, 1))


@each_law
def test_vmap_over_a_batch_gives_what_the_batch_gives(noise: Noise):
    loc = locations(2, 3, 4).view(6, 4)
    for function in functions_of(noise):
        assert_close(torch.func.vmap(lambda row, f=function: f(row, noise))(loc), function(loc, noise))


def functions_of(noise: Noise) -> list[Callable[[Tensor, Noise], Tensor]]:
    functions = [perturbed_argmax_probs, perturbed_argmax_log_probs]
    return [*functions, expected_max] if noise.has_mean else functions


@each_law
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_location_that_is_no_number_is_refused(noise: Noise, value: float):
    for function in functions_of(noise):
        with pytest.raises(OptionError, match=r"(?i)nan|inf"):
            function(torch.tensor([[0.0, 1.0], [0.0, value]]), noise)


@each_law
def test_a_row_in_which_every_class_is_absent_is_refused(noise: Noise):
    for function in (perturbed_argmax_probs, perturbed_argmax_log_probs):
        with pytest.raises(OptionError, match="-inf"):
            function(torch.tensor([[0.0, 1.0], [-torch.inf, -torch.inf]]), noise)


@each_law
def test_a_dimension_without_classes_is_refused(noise: Noise):
    for function in functions_of(noise):
        with pytest.raises(OptionError, match=r"empty|no class|at least one"):
            function(torch.zeros(3, 0), noise)


@each_law
def test_a_batch_without_elements_stays_empty(noise: Noise):
    for num_classes in (1, 4):
        loc = torch.zeros(0, num_classes)
        assert perturbed_argmax_probs(loc, noise).shape == (0, num_classes)
        if noise.has_mean:
            assert expected_max(loc, noise).shape == (0,)


@pytest.fixture
def as_if_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch.compile would trace is run as it stands: the operators, without a compiler."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


@each_law
def test_the_operators_give_the_same_values_gradients_and_batches(noise: Noise, request: pytest.FixtureRequest):
    weights = torch.tensor([1.0, -2.0], dtype=torch.float64)

    def results(function: Callable[[Tensor, Noise], Tensor]) -> list[Tensor]:
        loc = locations(4, 3).clamp(-0.2, 0.2).requires_grad_()
        single, value = loc[:, 0], torch.func.vmap(lambda row: function(row, noise), in_dims=1)(loc)
        one = function(single, noise).square().sum()

        def pulled(weight: Tensor) -> Tensor:
            return torch.autograd.grad(one, single, weight, retain_graph=True)[0]

        return [value, *torch.autograd.grad(value.square().sum(), loc), torch.func.vmap(pulled)(weights)]

    expected = [results(function) for function in functions_of(noise)]
    request.getfixturevalue("as_if_compiling")
    assert_close([results(function) for function in functions_of(noise)], expected)


def test_the_operators_say_beforehand_what_they_return():
    loc = locations(4, 3).T
    number = operators.number_of(algorithm_for(Normal()), Accuracy.of_probs(None, torch.float64))
    for operator, inputs in (
        (operators.log_probs, (loc,)),
        (operators.gradient, (loc, loc)),
        (operators.potential, (loc,)),
    ):
        made, said = operator(*inputs, number), operator(*(own.to("meta") for own in inputs), number)
        assert (made.shape, made.stride(), made.dtype) == (said.shape, said.stride(), said.dtype)


def test_a_law_and_an_accuracy_are_known_by_one_number():
    def number(law: Noise, tolerance: float) -> int:
        return operators.number_of(algorithm_for(law), Accuracy.of_probs(tolerance, torch.float64))

    assert number(Normal(2.0), 1e-5) == number(Normal(2.0), 1e-5)
    assert (
        len(
            {number(Normal(2.0), 1e-5), number(Normal(3.0), 1e-5), number(Gumbel(2.0), 1e-5), number(Normal(2.0), 1e-6)}
        )
        == 4
    )


@pytest.fixture
def compiler() -> None:
    """Without the graphs of other tests, of which torch allows eight for a function."""
    torch.compiler.reset()


def when_compiling(test: Callable[..., None]) -> Callable[..., None]:
    """Slow, and with a warning of torch's own in tracing."""
    quiet = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
    return pytest.mark.slow(pytest.mark.usefixtures("compiler")(quiet(test)))


@when_compiling
@each_law
def test_compiled_functions_are_one_graph_and_give_the_same_values_and_gradients(noise: Noise):
    """With the backend that traces but does not generate code."""

    def loss(loc: Tensor) -> Tensor:
        return sum(function(2 * loc, noise)[..., 0].sum() for function in functions_of(noise))

    results = []
    for function in (loss, torch.compile(loss, backend="aot_eager", fullgraph=True)):
        loc = locations(3, 4).clamp(-0.2, 0.2).requires_grad_()
        value = function(loc)
        (gradient,) = torch.autograd.grad(value, loc)
        results.append((value.detach(), gradient))
    assert_close(results[1], results[0])


@when_compiling
def test_a_law_made_inside_a_compiled_function_keeps_its_scale_and_wrong_locations_are_refused():
    compiled = torch.compile(
        lambda loc: perturbed_argmax_probs(loc, replace(LAWS["normal"], scale=2.0)), backend="aot_eager", fullgraph=True
    )
    assert_close(compiled(locations(3, 4)), perturbed_argmax_probs(locations(3, 4), replace(LAWS["normal"], scale=2.0)))
    with pytest.raises(OptionError, match="NaN"):
        compiled(locations(3, 4) * torch.nan)


@when_compiling
@each_law
def test_vmap_inside_a_compiled_function_gives_what_the_batch_gives(noise: Noise):
    loc, other = (locations(3, 4).clamp(-0.2, 0.2).requires_grad_() for _ in range(2))
    compiled = torch.compile(
        lambda loc: torch.func.vmap(lambda row: perturbed_argmax_probs(row, noise)[1])(loc),
        backend="aot_eager",
        fullgraph=True,
    )
    value, expected = compiled(loc), perturbed_argmax_probs(other, noise)[:, 1]
    assert_close(value, expected)
    assert_close(torch.autograd.grad(value.sum(), loc), torch.autograd.grad(expected.sum(), other))

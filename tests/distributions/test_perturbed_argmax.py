"""`PerturbedArgmax` behaves as a member of torch.distributions: with Gumbel noise it is `Categorical`, twice over."""

from __future__ import annotations

import copy
import math
import re
from pathlib import Path

import pytest
import torch
from scipy.stats import binom
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, kl_divergence
from torch.distributions import Normal as NormalDistribution
from torch.testing import assert_close

from kexue.distributions import (
    NOISES,
    Cauchy,
    Exponential,
    Gumbel,
    Noise,
    Normal,
    PerturbedArgmax,
    Relaxation,
    Relaxed,
    StraightThrough,
    StraightThroughRelaxed,
    Uniform,
    perturbed_argmax_probs,
)
from kexue.errors import OptionError

LAWS = {name: law() for name, law in NOISES.items()}
SHAPES = [(4,), (3, 4), (2, 3, 4), (1,)]
RELAXATIONS = [Relaxed(0.5), StraightThrough(), StraightThroughRelaxed(0.5)]
each_law = pytest.mark.parametrize("noise", LAWS.values(), ids=LAWS)


@pytest.fixture(autouse=True)
def validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's default, which another test or a library may have switched off for the whole process."""
    monkeypatch.setattr(Distribution, "_validate_args", True)


def locations(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", SHAPES)
def test_with_gumbel_noise_it_is_categorical(shape: tuple[int, ...]):
    loc = locations(*shape)
    ours, torchs = PerturbedArgmax(loc, Gumbel()), Categorical(logits=loc)
    values = torchs.enumerate_support()
    for name in ("batch_shape", "event_shape", "param_shape"):
        assert getattr(ours, name) == getattr(torchs, name)
    for mine, its in [
        (ours.probs, torchs.probs),
        (ours.logits, torchs.logits),
        (ours.log_prob(values), torchs.log_prob(values)),
        (ours.entropy(), torchs.entropy()),
        (ours.mode, torchs.mode),
        (ours.enumerate_support(), values),
        (ours.enumerate_support(expand=False), torchs.enumerate_support(expand=False)),
        (kl_divergence(ours, torchs), torch.zeros(shape[:-1]).double()),
    ]:
        assert_close(mine, its, atol=1e-12, rtol=0)
    assert ours.mean.isnan().all() and ours.variance.shape == torchs.variance.shape
    assert ours.has_enumerate_support and repr(ours.support) == repr(torchs.support)


@each_law
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_those_of_torch(noise: Noise, shape: tuple[int, ...]):
    law, batch = PerturbedArgmax(locations(*shape), noise), shape[:-1]
    assert law.sample().shape == batch and law.sample((5, 2)).shape == (5, 2, *batch)
    assert law.sample(torch.Size([5])).dtype == torch.int64
    assert law.rsample((5,)).shape == (5, *shape)
    assert law.entropy().shape == law.mode.shape == batch
    assert law.log_prob(law.sample((5, 2))).shape == (5, 2, *batch)
    assert law.enumerate_support().shape == (shape[-1], *batch)
    assert_close(law.log_prob(law.enumerate_support()).exp().sum(0), torch.ones(batch).double())


@each_law
def test_entropy_and_divergence_are_sums_over_the_classes(noise: Noise):
    p, q = PerturbedArgmax(locations(3, 4), noise), PerturbedArgmax(locations(3, 4, seed=1) / 10, Gumbel())
    mass = p.probs.clamp(min=1e-300)
    assert_close(p.entropy(), -(mass * mass.log()).sum(-1), atol=1e-11, rtol=0)
    assert_close(kl_divergence(p, q), (mass * (mass.log() - q.logits)).sum(-1), atol=1e-11, rtol=0)
    assert_close(kl_divergence(p, Categorical(logits=q.loc)), kl_divergence(p, q), atol=1e-12, rtol=0)


def test_the_divergence_from_categorical_is_that_of_its_twin():
    other = PerturbedArgmax(locations(3, 4), Normal())
    twin = Categorical(probs=other.probs)
    gumbel = PerturbedArgmax(locations(3, 4, seed=1), Gumbel())
    assert_close(kl_divergence(twin, gumbel), kl_divergence(other, gumbel))
    assert_close(kl_divergence(twin, other), torch.zeros(3).double(), atol=1e-12, rtol=0)


def test_a_class_of_probability_zero_is_counted_as_in_the_limit():
    loc = torch.tensor([0.0, 0.2, -5.0], dtype=torch.float64, requires_grad=True)
    sparse, dense = PerturbedArgmax(loc, Uniform()), PerturbedArgmax(loc, Normal())
    assert sparse.probs[2] == 0 and sparse.log_prob(torch.tensor(2)) == -math.inf
    assert_close(sparse.entropy(), Categorical(probs=sparse.probs[:2].detach()).entropy())
    assert kl_divergence(sparse, dense).isfinite() and kl_divergence(dense, sparse) == math.inf
    assert kl_divergence(Categorical(probs=sparse.probs.detach()), sparse).abs() < 1e-12
    assert kl_divergence(dense, Categorical(probs=torch.tensor([0.5, 0.5, 0.0]).double())) == math.inf
    for value in (sparse.entropy(), kl_divergence(sparse, dense), kl_divergence(sparse, sparse)):
        (gradient,) = torch.autograd.grad(value, loc, retain_graph=True)
        assert gradient.isfinite().all()


def test_the_gradient_of_entropy_and_divergence_is_the_limit_of_differences():
    loc = locations(2, 4).requires_grad_()
    other = Categorical(logits=locations(2, 4, seed=1))
    assert torch.autograd.gradcheck(lambda loc: PerturbedArgmax(loc, Normal()).entropy(), loc)
    assert torch.autograd.gradcheck(lambda loc: kl_divergence(PerturbedArgmax(loc, Normal()), other), loc)
    assert torch.autograd.gradcheck(lambda loc: kl_divergence(other, PerturbedArgmax(loc, Normal())), loc)


@each_law
def test_the_mode_is_the_most_probable_class(noise: Noise):
    law = PerturbedArgmax(locations(50, 6), noise)
    assert_close(law.mode, law.probs.argmax(-1))


@each_law
def test_expanding_repeats_the_law_and_keeps_what_is_known(noise: Noise):
    small = PerturbedArgmax(locations(3, 4), noise)
    fresh = small.expand((2, 3))
    probs = small.probs
    expanded = small.expand((2, 3))
    assert expanded.batch_shape == (2, 3) and expanded.noise is noise
    assert expanded.probs.data_ptr() == probs.data_ptr()
    assert_close(fresh.probs, expanded.probs)
    assert expanded.sample((5,)).shape == (5, 2, 3)


def test_a_subclass_without_expand_of_its_own_is_refused_as_by_torch():
    class Named(PerturbedArgmax):
        def __init__(self, name: str) -> None:
            super().__init__(torch.zeros(3), Normal())

    with pytest.raises(NotImplementedError, match="expand"):
        Named("x").expand((2,))


def test_it_fits_into_what_torch_builds_from_distributions():
    pair = Independent(PerturbedArgmax(locations(3, 4), Normal()), 1)
    assert pair.event_shape == (3,) and pair.log_prob(pair.sample((5,))).shape == (5,)
    weights = PerturbedArgmax(locations(3), Normal())
    mixture = MixtureSameFamily(Categorical(probs=weights.probs), NormalDistribution(locations(3), 1.0))
    assert mixture.log_prob(torch.tensor(0.3).double()).isfinite()


def test_log_prob_broadcasts_values_against_the_batch():
    law = PerturbedArgmax(locations(2, 3, 4), Normal())
    value = torch.tensor([[0], [3]])
    expected = law.logits.gather(-1, value.expand(2, 3).unsqueeze(-1)).squeeze(-1)
    assert_close(law.log_prob(value), expected)
    assert_close(law.log_prob(torch.tensor(1)), law.logits[..., 1])


@each_law
def test_the_same_generator_gives_the_same_draws_and_leaves_the_global_one_alone(noise: Noise):
    law = PerturbedArgmax(locations(3, 4), noise)
    state = torch.get_rng_state()
    draws = law.sample((20,), generator=seeded(3))
    assert_close(draws, law.sample((20,), generator=seeded(3)))
    assert_close(torch.get_rng_state(), state)
    torch.manual_seed(0)
    first = law.sample((20,))
    torch.manual_seed(0)
    assert_close(law.sample((20,)), first)


@each_law
def test_an_absent_class_is_never_drawn(noise: Noise):
    law = PerturbedArgmax(torch.tensor([-torch.inf, 0.0, 0.1]), noise)
    assert (law.sample((1000,), generator=seeded()) > 0).all()
    for relaxation in RELAXATIONS:
        assert (law.rsample((100,), relaxation, generator=seeded())[..., 0] == 0).all()


@pytest.mark.parametrize("relaxation", RELAXATIONS, ids=str)
@each_law
def test_relaxed_draws_lie_in_the_simplex_and_their_largest_entry_is_the_draw(noise: Noise, relaxation: Relaxation):
    law = PerturbedArgmax(locations(3, 4), noise)
    points, index = law.rsample((50,), relaxation, seeded(1)), law.sample((50,), seeded(1))
    assert (points >= 0).all()
    assert_close(points.sum(-1), torch.ones(50, 3).double())
    assert_close(points.argmax(-1), index)


@pytest.mark.parametrize("relaxation", [StraightThrough(), StraightThroughRelaxed(0.5)], ids=str)
def test_straight_through_draws_are_one_hot_to_the_last_bit(relaxation: Relaxation):
    points = PerturbedArgmax(locations(3, 4).float().requires_grad_(), Normal()).rsample((100,), relaxation)
    assert points.requires_grad and ((points == 0) | (points == 1)).all()


def test_relaxed_draws_tend_to_the_one_hot_draw_as_the_temperature_falls():
    law = PerturbedArgmax(locations(3, 4), Normal())
    gaps = [
        (law.rsample((200,), Relaxed(t), seeded()) - law.rsample((200,), generator=seeded())) for t in (1, 0.1, 1e-3)
    ]
    sizes = [gap.abs().mean().item() for gap in gaps]
    assert sizes[0] > sizes[1] > sizes[2] and sizes[2] < 1e-3


def test_relaxed_draws_with_gumbel_noise_follow_the_concrete_law():
    """Its mean, by torch's own sampler; the difference of two means of 20,000 draws is below 5 standard errors."""
    loc = locations(4)
    theirs = torch.distributions.RelaxedOneHotCategorical(torch.tensor(0.7).double(), logits=loc)
    torch.manual_seed(0)
    ours, torchs = PerturbedArgmax(loc, Gumbel()).rsample((20_000,), Relaxed(0.7)), theirs.sample((20_000,))
    error = ((ours.var(0) + torchs.var(0)) / 20_000).sqrt()
    assert ((ours.mean(0) - torchs.mean(0)).abs() < 5 * error).all()


@each_law
def test_the_straight_through_gradient_is_the_exact_one_for_every_draw(noise: Noise):
    loc, reward = locations(4).requires_grad_(), torch.tensor([1.0, -2.0, 0.5, 3.0]).double()
    (exact,) = torch.autograd.grad(perturbed_argmax_probs(loc, noise) @ reward, loc)
    for seed in range(3):
        draw = PerturbedArgmax(loc, noise).rsample(generator=seeded(seed))
        (gradient,) = torch.autograd.grad(draw @ reward, loc)
        assert_close(gradient, exact)


def test_the_gradient_of_a_relaxed_draw_is_that_of_the_softmax():
    loc = locations(4)
    eps = Normal().sample((4,), seeded(2), dtype=torch.float64)
    ours, theirs = loc.clone().requires_grad_(), loc.clone().requires_grad_()
    PerturbedArgmax(ours, Normal()).rsample((), StraightThroughRelaxed(0.5), seeded(2))[1].backward()
    ((theirs + eps) / 0.5).softmax(-1)[1].backward()
    assert_close(ours.grad, theirs.grad)


def test_a_draw_of_an_index_carries_no_gradient_and_says_so():
    law = PerturbedArgmax(locations(4).requires_grad_(), Normal())
    assert not law.has_rsample and not law.sample().requires_grad


def test_the_score_function_estimates_the_gradient_of_an_expectation():
    """As REINFORCE uses it; 40,000 draws, 5 standard errors."""
    loc, reward = locations(4).requires_grad_(), torch.tensor([1.0, -2.0, 0.5, 3.0]).double()
    law = PerturbedArgmax(loc, Normal())
    (exact,) = torch.autograd.grad(law.probs @ reward, loc, retain_graph=True)
    scores = torch.func.jacrev(lambda loc: PerturbedArgmax(loc, Normal(), validate_args=False).logits)(loc.detach())
    draws = law.sample((40_000,), seeded())
    estimates = reward[draws].unsqueeze(-1) * scores[draws]
    assert ((estimates.mean(0) - exact).abs() < 5 * estimates.std(0) / 200).all()


def test_draws_of_half_precision_locations_are_as_frequent_as_the_probabilities():
    """Each class by its own binomial test at a false-alarm rate of 1e-6."""
    loc = torch.tensor([0.0, 0.5, -0.25, -2.0], dtype=torch.float16)
    law = PerturbedArgmax(loc, Exponential())
    counts = law.sample((20_000,), seeded()).bincount(minlength=4)
    for count, p in zip(counts.tolist(), law.probs.tolist(), strict=True):
        assert min(binom.cdf(count, 20_000, p), binom.sf(count - 1, 20_000, p)) > 1e-6


def test_many_classes_of_one_location_do_not_tie_in_float32():
    """A tie would go to the first class: with 2**-24 as the step of a uniform number it would among 50,000."""
    draws = PerturbedArgmax(torch.zeros(50_000), Gumbel()).sample((400,), seeded())
    assert abs(draws.double().mean() / 50_000 - 0.5) < 5 / math.sqrt(12 * 400)


MISTAKES = [
    (lambda: PerturbedArgmax(torch.zeros(3, 0), Normal()), OptionError, "no class"),
    (lambda: PerturbedArgmax(torch.tensor(0.0), Normal()), OptionError, "no class"),
    (lambda: PerturbedArgmax(torch.zeros(3, dtype=torch.long), Normal()), OptionError, "int64"),
    (lambda: PerturbedArgmax([0.0, 1.0], Normal()), OptionError, "not list"),
    (lambda: PerturbedArgmax(torch.zeros(3), Normal), OptionError, r"for example Normal\(\)"),
    (lambda: PerturbedArgmax(torch.tensor([0.0, torch.nan]), Normal()), ValueError, "no NaN"),
    (lambda: PerturbedArgmax(torch.tensor([0.0, torch.inf]), Normal()), ValueError, r"no \+inf"),
    (lambda: PerturbedArgmax(torch.tensor([-torch.inf] * 2), Normal()), ValueError, "not all -inf"),
    (lambda: PerturbedArgmax(torch.zeros(3), Normal()).log_prob(torch.tensor(3)), ValueError, "upper_bound=2"),
    (lambda: PerturbedArgmax(torch.zeros(3), Normal()).log_prob(torch.tensor(0.5)), ValueError, "within the support"),
    (lambda: PerturbedArgmax(torch.zeros(2, 3), Normal()).log_prob(torch.zeros(5)), ValueError, "broadcastable"),
    (lambda: Relaxed(0.0), OptionError, "above 0"),
    (lambda: StraightThroughRelaxed(math.nan), OptionError, "above 0"),
]


@pytest.mark.parametrize(("mistake", "error", "message"), MISTAKES)
def test_a_mistake_is_refused_with_what_is_allowed(mistake, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        mistake()


def test_values_are_not_looked_at_where_validation_is_off():
    law = PerturbedArgmax(torch.tensor([0.0, torch.nan]), Normal(), validate_args=False)
    assert law.batch_shape == () and not law.expand((2,))._validate_args


def test_it_says_what_it_is_and_can_be_copied():
    law = PerturbedArgmax(torch.zeros(2, 3), Cauchy(scale=2.0))
    assert repr(law) == "PerturbedArgmax(loc: (2, 3), noise: Cauchy(scale=2.0))"
    assert_close(copy.deepcopy(law).probs, law.probs)


def test_vmap_over_locations_gives_what_a_batch_gives():
    loc, value = locations(5, 4), torch.tensor([0, 1, 2, 3, 0])
    single = torch.func.vmap(lambda row, k: PerturbedArgmax(row, Normal(), validate_args=False).log_prob(k))
    assert_close(single(loc, value), PerturbedArgmax(loc, Normal()).log_prob(value))


def test_the_examples_of_the_guide_run():
    guide = (Path(__file__).resolve().parents[2] / "docs" / "distributions.md").read_text("utf-8")
    names: dict[str, object] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", guide, re.DOTALL)), names)
    assert_close(names["law"].probs, torch.tensor([0.4379, 0.1733, 0.0462, 0.3426]), atol=5e-5, rtol=0)
    assert (names["weights"] == 0).any()

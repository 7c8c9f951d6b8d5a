"""Every penalty against its definition, worked out on a toy model in float64."""

from __future__ import annotations

import contextlib
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from kexue.errors import OptionError
from kexue.ops.divergence import sigmoid_divergence
from kexue.training.regularizers import REGULARIZERS, Regularizer, Step, regularized_loss
from kexue.training.regularizers.distillation import Distillation
from kexue.training.regularizers.fgm import FGM
from kexue.training.regularizers.pgd import PGD
from kexue.training.regularizers.rdrop import RDrop
from kexue.training.regularizers.vat import VAT
from tests.training.regularizers.toy import ToyJob, ToyModel

GIVEN: dict[str, dict[str, Any]] = {"distillation": {"teacher": "folder"}}
every_one = pytest.mark.parametrize("name", REGULARIZERS)


def make(name: str) -> Regularizer:
    return REGULARIZERS[name](**GIVEN.get(name, {}))


def loss_of(job: ToyJob, *regularizers: Regularizer, run: Any = None) -> Tensor:
    return regularized_loss(job, regularizers, run or job.model, job.inputs)


def gradients(loss: Tensor, model: torch.nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters()), retain_graph=True))


def lengths(x: Tensor) -> Tensor:
    return x.norm(dim=1, keepdim=True)


# --- what all have in common ---


@every_one
def test_the_loss_gains_the_penalty_and_weights_gradients_and_hooks_are_as_before(name: str):
    job = ToyJob(dropout=0.3)
    job.teacher = ToyJob(seed=1).model.eval()
    before = {key: value.clone() for key, value in job.model.state_dict().items()}
    make(name).check(job)
    torch.manual_seed(5)
    loss = loss_of(job, make(name))
    torch.manual_seed(5)
    inputs = job.doubled(job.inputs) if make(name).doubles else job.inputs
    assert loss > job.model(**inputs)["loss"]
    assert all(torch.equal(value, before[key]) for key, value in job.model.state_dict().items())
    assert all(parameter.grad is None for parameter in job.model.parameters())
    assert not job.entrance._forward_hooks
    assert all(gradient.isfinite().all() for gradient in gradients(loss, job.model))


@every_one
def test_what_is_drawn_comes_from_the_random_state_alone(name: str):
    job, losses = ToyJob(dropout=0.3), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses += [loss_of(job, make(name)).item(), torch.rand(()).item()]
    assert losses[:2] == losses[2:4]
    assert losses[:2] != losses[4:]


@every_one
def test_gradients_that_were_accumulated_before_stay(name: str):
    job = ToyJob(dropout=0.3)
    torch.manual_seed(0)
    loss_of(job, make(name)).backward()
    once = [parameter.grad.clone() for parameter in job.model.parameters()]
    torch.manual_seed(0)
    loss_of(job, make(name)).backward()
    assert_close([parameter.grad for parameter in job.model.parameters()], [2 * gradient for gradient in once])


@every_one
@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_pass_that_fails_leaves_the_model_as_it_was(name: str, fails_at: int):
    job = ToyJob(dropout=0.3)
    before = {key: value.clone() for key, value in job.model.state_dict().items()}
    passes = 0

    def run(**inputs: Tensor) -> dict[str, Any]:
        nonlocal passes
        passes += 1
        assert len(job.entrance._forward_hooks) == 1
        outputs = job.model(**inputs)
        return outputs if passes < fails_at else {"loss": 1 / 0}

    with contextlib.suppress(ZeroDivisionError):
        loss_of(job, make(name), run=run)
        assert passes < fails_at
    assert not job.entrance._forward_hooks
    assert all(torch.equal(value, before[key]) for key, value in job.model.state_dict().items())


def test_several_penalties_add_up():
    job = ToyJob()
    plain = loss_of(job)
    one, other = loss_of(job, FGM()) - plain, loss_of(job, PGD()) - plain
    assert_close(loss_of(job, FGM(), PGD()), plain + one + other)


@every_one
def test_every_number_must_be_positive(name: str):
    for field in fields(REGULARIZERS[name]):  # type: ignore[arg-type]
        if field.type in ("float", "int"):
            with pytest.raises(ValueError, match=field.name):
                REGULARIZERS[name](**GIVEN.get(name, {}) | {field.name: -1})


# --- R-Drop ---


def test_rdrop_adds_a_quarter_of_alpha_times_the_divergence_to_the_mean_loss():
    job = ToyJob(dropout=0.5)
    torch.manual_seed(3)
    loss = loss_of(job, RDrop(alpha=2.0))
    torch.manual_seed(3)
    scores = job.model.scores(torch.cat((job.inputs["x"], job.inputs["x"])))
    first, second = scores.chunk(2)
    assert not torch.equal(first, second)
    losses = [(half - job.inputs["y"]).square().sum(-1).mean() for half in (first, second)]
    assert_close(loss, sum(losses) / 2 + 2.0 / 4 * sigmoid_divergence(first, second).mean())


def test_rdrop_without_dropout_is_zero_and_is_refused():
    job = ToyJob()
    step = Step(job, job.model, job.doubled(job.inputs))
    assert RDrop().penalty(step).item() == 0
    with pytest.raises(OptionError, match="this model has none"):
        RDrop().check(job)
    RDrop().check(ToyJob(dropout=0.1))


def test_the_gradient_of_rdrop_flows_through_both_passes():
    job = ToyJob(dropout=0.5)
    step = Step(job, job.model, job.doubled(job.inputs))
    ours = gradients(RDrop(alpha=4.0).penalty(step), job.model)
    first, second = step.said.halves()
    parts = [gradients(a.divergence(b, "sigmoid"), job.model)
             for a, b in ((first, second.detached()), (first.detached(), second))]  # fmt: skip
    assert_close(ours, [x + y for x, y in zip(*parts, strict=True)])
    assert all((part[0] != 0).any() for part in parts)


# --- FGM and PGD ---


def by_hand(job: ToyJob) -> tuple[Tensor, Tensor]:
    """x and the gradient of the loss with respect to it."""
    x = job.inputs["x"].clone().requires_grad_()
    return x.detach(), torch.autograd.grad(job.model(x, job.inputs["y"])["loss"], x)[0]


def test_fgm_moves_each_example_along_its_gradient_by_a_share_of_its_length():
    job = ToyJob()
    x, slope = by_hand(job)
    moved = x + 0.2 * lengths(x) * slope / lengths(slope)
    truth = job.model(**job.inputs)["loss"] + 0.7 * job.model(moved, job.inputs["y"])["loss"]
    assert_close(loss_of(job, FGM(alpha=0.7, radius=0.2)), truth)
    assert_close(gradients(loss_of(job, FGM(alpha=0.7, radius=0.2)), job.model), gradients(truth, job.model))


def test_the_move_of_fgm_raises_the_loss_more_than_any_random_one():
    job = ToyJob()
    x, _ = by_hand(job)
    found = loss_of(job, FGM(radius=0.01)) - loss_of(job)
    for _ in range(50):
        noise = torch.randn_like(x)
        other = job.model(x + 0.01 * lengths(x) * noise / lengths(noise), job.inputs["y"])["loss"]
        assert other <= found * (1 + 1e-3)


def test_an_example_without_gradient_is_not_moved():
    job = ToyJob()
    with torch.no_grad():
        job.inputs["y"][2] = job.model.scores(job.inputs["x"])[2]
    assert loss_of(job, FGM()).isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(loss_of(job, FGM()), job.model))


def test_padding_is_neither_moved_nor_measured():
    job = ToyJob()
    job.padding = torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64).expand(6, 3)
    x, slope = by_hand(job)
    kept = slope * job.padding
    moved = x + 0.1 * lengths(x * job.padding) * kept / lengths(kept)
    assert_close(loss_of(job, FGM()) - loss_of(job), job.model(moved, job.inputs["y"])["loss"])


def test_pgd_of_one_step_is_fgm():
    job = ToyJob()
    assert_close(loss_of(job, PGD(num_steps=1, step=0.1, radius=0.1)), loss_of(job, FGM(radius=0.1)))


@pytest.mark.parametrize(("step", "radius"), [(0.1, 0.25), (0.3, 0.1)])
def test_pgd_is_its_recursion(step: float, radius: float):
    job = ToyJob()
    x, _ = by_hand(job)
    shift = torch.zeros_like(x)
    for _ in range(4):
        leaf = shift.clone().requires_grad_()
        slope = torch.autograd.grad(job.model(x + leaf, job.inputs["y"])["loss"], leaf)[0]
        shift = shift + step * lengths(x) * slope / lengths(slope)
        shift = shift * (radius * lengths(x) / lengths(shift)).clamp(max=1)
    assert (lengths(shift) <= radius * lengths(x) * (1 + 1e-12)).all()
    truth = job.model(**job.inputs)["loss"] + job.model(x + shift, job.inputs["y"])["loss"]
    assert_close(loss_of(job, PGD(num_steps=4, step=step, radius=radius)), truth)


# --- VAT ---


def test_the_first_order_term_of_vat_vanishes():
    job, penalties = ToyJob(), []
    for radius in (2e-3, 1e-3):
        torch.manual_seed(0)
        penalties.append((loss_of(job, VAT(radius=radius, xi=1e-4)) - loss_of(job)).item())
    assert penalties[0] / penalties[1] == pytest.approx(4, rel=1e-2)
    assert penalties[1] > 0


def test_many_steps_find_the_direction_in_which_the_divergence_grows_fastest():
    job = ToyJob()
    x = job.inputs["x"]
    radius = 1e-3
    largest = 0.0
    for row in x:
        jacobian = torch.autograd.functional.jacobian(job.model.scores, row[None])[0, :, 0]
        p = job.model.scores(row[None])[0].sigmoid()
        hessian = jacobian.T @ torch.diag(p * (1 - p)) @ jacobian
        largest += torch.linalg.eigvalsh(hessian)[-1].item() * (radius * row.norm().item()) ** 2 / len(x)
    torch.manual_seed(0)
    found = loss_of(job, VAT(radius=radius, xi=1e-3, num_steps=200)) - loss_of(job)
    assert found.item() == pytest.approx(largest, rel=1e-2)
    torch.manual_seed(0)
    noise = loss_of(job, VAT(radius=radius, num_steps=0)) - loss_of(job)
    assert noise < found


def test_no_gradient_flows_through_the_target_of_vat():
    job = ToyJob()
    step = Step(job, job.model, job.inputs)
    seen: list[Tensor] = []
    again = step.again
    step.again = lambda shift: seen.append(shift.detach().clone()) or again(shift)  # type: ignore[assignment]
    ours = gradients(VAT().penalty(step), job.model)
    target = job.model.scores(job.inputs["x"]).detach()
    truth = sigmoid_divergence(job.model.scores(job.inputs["x"] + seen[-1]), target).mean()
    assert_close(ours, gradients(truth, job.model))


def test_the_passes_of_a_step_share_their_dropout():
    job = ToyJob(dropout=0.5)
    step = Step(job, job.model, job.inputs)
    noise, state = step.noise(), torch.get_rng_state()
    _, said = step.again(torch.zeros_like(noise))
    assert torch.equal(torch.get_rng_state(), state)  # what is drawn next is not what was drawn before
    assert torch.equal(said.scores, step.said.scores)  # type: ignore[attr-defined]
    other = job.model(**job.inputs)["said"]
    assert not torch.equal(other.scores, said.scores)  # type: ignore[attr-defined]


# --- distillation ---


def test_a_model_learns_nothing_from_itself():
    job = ToyJob()
    assert_close(loss_of(job, Distillation(teacher="folder")), loss_of(job), rtol=0, atol=0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_distillation_compares_scores_over_the_temperature(temperature: float):
    job = ToyJob()
    job.teacher = ToyJob(seed=1).model
    s, t = (model.scores(job.inputs["x"]) for model in (job.model, job.teacher))
    truth = 3 * temperature**2 * sigmoid_divergence(s / temperature, t.detach() / temperature).mean()
    ours = loss_of(job, Distillation(teacher="folder", alpha=3.0, temperature=temperature)) - loss_of(job)
    assert_close(ours, truth)


def test_the_student_comes_to_say_what_the_teacher_says():
    job = ToyJob()
    job.teacher = ToyJob(seed=1).model
    job.inputs["y"] = job.teacher.scores(job.inputs["x"]).detach()
    optimizer = torch.optim.Adam(job.model.parameters(), lr=0.02)
    for _ in range(400):
        optimizer.zero_grad()
        said = job.model(**job.inputs)["said"]
        said.divergence(job.taught("folder", job.inputs), "sigmoid").backward()
        optimizer.step()
    assert_close(job.model.scores(job.inputs["x"]), job.inputs["y"], rtol=0.05, atol=0.05)


def test_a_divergence_that_the_job_does_not_know_is_refused():
    job = ToyJob(dropout=0.1)
    for regularizer in (RDrop(divergence="softmax"), VAT(divergence="softmax")):
        with pytest.raises(OptionError, match="allowed: 'sigmoid', 'squared'"):
            regularizer.check(job)
    job.divergences = ()  # type: ignore[assignment]
    with pytest.raises(OptionError, match="no scores of token pairs"):
        RDrop().check(job)
    assert isinstance(job.model, ToyModel)

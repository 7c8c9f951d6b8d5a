"""Networks for images: one interface, what goes in comes out, places and classes matter as they should."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from kexue.diffusion.denoisers import DENOISERS, DenoisingNetwork, GAUDenoiser, UNet
from kexue.diffusion.denoisers.gau import (
    ConditionedUnit,
    Sizes,
    from_patches,
    grid_places,
    smallest_patch,
    time_features,
    to_patches,
)
from kexue.diffusion.denoisers.unet import whole_steps
from kexue.diffusion.denoising import NetworkDenoiser
from kexue.diffusion.likelihood import log_likelihood
from kexue.diffusion.schedules import LinearVP
from kexue.diffusion.trace import Hutchinson
from kexue.errors import OptionError
from kexue.ops.rotary import grid_turns, turn

SHAPE = (3, 8, 8)
KINDS = list(DENOISERS)


def moved(network: DenoisingNetwork) -> DenoisingNetwork:
    """With no weight at zero, so that everything has an effect."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def images(count: int = 2) -> Tensor:
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 8)])
@pytest.mark.parametrize("num_classes", [0, 4])
def test_what_goes_in_comes_out_in_shape(kind: str, shape: tuple[int, int, int], num_classes: int):
    network = DENOISERS[kind].preset("tiny", shape, num_classes)
    x = torch.randn(3, *shape)
    labels = torch.tensor([0, 3, 4]) if num_classes else None
    assert network(x, torch.rand(3), labels).shape == x.shape
    assert network(x, torch.rand(3)).shape == x.shape
    assert network.shape == shape
    assert network.num_classes == num_classes


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_is_rebuilt_from_its_configuration_as_json(kind: str):
    network = moved(DENOISERS[kind].preset("tiny", SHAPE, 4, dropout=0.1))
    again = DENOISERS[kind].from_config(json.loads(json.dumps(network.config))).eval()
    again.load_state_dict(network.state_dict())
    x, t, labels = images(), torch.tensor([0.2, 0.9]), torch.tensor([1, 2])
    assert torch.equal(again(x, t, labels), network(x, t, labels))
    assert again.kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_is_treated_by_itself_and_time_and_class_matter(kind: str):
    network = moved(DENOISERS[kind].preset("tiny", SHAPE, 4))
    x, t, labels = images(), torch.tensor([0.2, 0.9]), torch.tensor([1, 2])
    out = network(x, t, labels)
    alone = torch.cat([network(x[i : i + 1], t[i : i + 1], labels[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(out, alone, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(out, network(x, t.flip(0), labels))
    assert not torch.allclose(out, network(x, t, labels.flip(0)))


@pytest.mark.parametrize("kind", KINDS)
def test_no_labels_mean_any_class_and_a_network_without_classes_takes_none(kind: str):
    network = moved(DENOISERS[kind].preset("tiny", SHAPE, 4))
    x, t = images(), torch.tensor([0.2, 0.9])
    assert torch.equal(network(x, t), network(x, t, torch.tensor([4, 4])))
    with pytest.raises(OptionError, match="takes no labels"):
        DENOISERS[kind].preset("tiny", SHAPE)(x, t, torch.tensor([0, 1]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind: str):
    network = moved(DENOISERS[kind].preset("tiny", SHAPE, 4)).train()
    network(images(), torch.tensor([0.2, 0.9]), torch.tensor([0, 1])).square().sum().backward()
    assert not [name for name, parameter in network.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize("kind", KINDS)
def test_a_misspelt_preset_is_refused_with_the_right_one(kind: str):
    with pytest.raises(OptionError, match="Did you mean 'tiny'"):
        DENOISERS[kind].preset("tinny", SHAPE)


# --- U-Net ---


def test_the_base_u_net_is_hos_network_for_cifar():
    with torch.device("meta"):
        network = UNet.preset("base", (3, 32, 32))
    assert sum(parameter.numel() for parameter in network.parameters()) == 35_746_307


def test_a_u_net_that_cannot_halve_an_image_is_refused_before_it_is_built():
    with pytest.raises(OptionError, match="multiples of 8, got 28 x 28"):
        UNet.preset("base", (1, 28, 28))


def test_the_u_net_is_asked_for_the_step_that_belongs_to_a_time():
    network = moved(UNet.preset("tiny", SHAPE))
    x, step = images(), torch.tensor([0, 700])
    theirs = network.unet(x, step).sample
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(network(x, (step.to(dtype) + 1) / 1000), theirs)


def test_every_step_of_a_chain_survives_a_float32_time_and_times_between_stay():
    for num_times in (1000, 4000):
        steps = torch.arange(num_times)
        times = ((steps + 1) / num_times).float()
        assert torch.equal(whole_steps(times.double() * num_times - 1), steps.double())
    assert whole_steps(torch.tensor([3.4]).double()).item() == pytest.approx(3.4)


def test_importing_the_denoisers_does_not_import_diffusers():
    code = "import sys, kexue.diffusion.denoisers; print('diffusers' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


# --- GAU ---


def test_patches_are_cut_and_put_back_row_by_row():
    x = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    tokens = to_patches(x, 2)
    assert tokens.shape == (2, 6, 12)
    assert torch.equal(tokens[1, 4].reshape(3, 2, 2), x[1, :, 2:4, 2:4])
    assert torch.equal(from_patches(tokens, (2, 3), 2), x)
    assert grid_places(2, 3)[4].tolist() == [1, 1]


def test_products_of_turned_vectors_depend_on_the_shift_only():
    query, key = (torch.randn(1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (0, 1))

    def product(i: list[int], j: list[int]) -> float:
        turned = [turn(x, grid_turns(torch.tensor([place]), 8, dtype=x.dtype)) for x, place in ((query, i), (key, j))]
        return float(turned[0] @ turned[1].mT)

    assert product([1, 5], [3, 2]) == pytest.approx(product([4, 7], [6, 4]))
    assert product([1, 5], [3, 2]) != pytest.approx(product([1, 5], [2, 3]))
    assert product([0, 0], [0, 1]) != pytest.approx(product([0, 0], [1, 0]))


def test_a_fresh_gau_denoiser_says_zero_and_its_layers_are_the_identity():
    network = GAUDenoiser.preset("tiny", SHAPE)
    x = torch.randn(2, 64, network.sizes.dim)
    assert torch.equal(network.layers[0](x, torch.randn(2, network.sizes.dim), grid_places(8, 8)), x)
    assert not network(images(), torch.rand(2)).any()


def test_a_layer_shifts_and_stretches_what_goes_into_its_unit_and_weighs_what_comes_out():
    unit = ConditionedUnit(Sizes(1, 4, 4, patch=1, dim=6, num_layers=1, key_dim=4))
    shift, scale, gate = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        unit.modulation[1].bias.copy_(torch.cat([shift, scale, gate]))
    x, places = torch.randn(2, 16, 6), grid_places(4, 4)
    normalised = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
    expected = x + gate * unit.unit(normalised * (1 + scale) + shift, places=places)
    torch.testing.assert_close(unit(x, torch.randn(2, 6), places), expected)


@pytest.mark.parametrize(("size", "patch"), [((8, 8), 1), ((16, 16), 1), ((28, 28), 2), ((32, 32), 2), ((64, 32), 4)])
def test_patches_are_as_small_as_the_number_of_tokens_allows(size: tuple[int, int], patch: int):
    assert smallest_patch(*size) == patch


def test_an_image_that_cannot_be_tiled_is_refused():
    with pytest.raises(OptionError, match="31 x 37 cannot be cut"):
        smallest_patch(31, 37)


def test_time_features_are_cosines_and_sines_at_frequencies_that_fall_from_1_towards_1e_minus_4():
    angles = torch.tensor([300.0, 30.0, 3.0, 0.3])
    torch.testing.assert_close(
        time_features(torch.tensor([0.3], dtype=torch.float64), 8)[0], torch.cat((angles.cos(), angles.sin()))
    )


def test_time_features_tell_neighbouring_steps_apart_in_float32():
    t = (torch.arange(1000, dtype=torch.float64) + 1) / 1000
    features = time_features(t, 96)
    assert features.dtype == torch.float32
    assert torch.cdist(features, features).fill_diagonal_(9).min() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_checkpointed_gradients_are_the_same(kind: str):
    gradients = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        network = moved(DENOISERS[kind].preset("tiny", SHAPE)).train()
        if checkpointed:
            network.gradient_checkpointing_enable()
        network(images(), torch.tensor([0.2, 0.9])).square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_of_a_network_can_be_computed(kind: str):
    network, x = moved(DENOISERS[kind].preset("tiny", (1, 4, 4))), torch.randn(2, 1, 4, 4)
    for parameter in network.parameters():
        parameter.data.mul_(0.5)
    found = log_likelihood(
        NetworkDenoiser(network, LinearVP()), LinearVP(), x, trace=Hutchinson(2), rtol=1e-2, atol=1e-2
    )
    assert found.log_prob.isfinite().all()


def test_many_gradients_of_gated_units_at_once_are_those_one_by_one():
    torch.manual_seed(0)
    network = GAUDenoiser(Sizes(1, 8, 8, patch=2, dim=16, num_layers=2, key_dim=8)).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    said, weights = network(x, torch.full((3,), 0.4)), torch.randn(4, 3, 1, 8, 8, dtype=torch.float64)

    def pulled(weight: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(said, x, weight, retain_graph=True)[0]

    torch.testing.assert_close(torch.func.vmap(pulled)(weights), torch.stack([pulled(each) for each in weights]))

"""A generator as a folder: what is saved is loaded, diffusers reads ours and we read theirs, damage is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kexue.diffusion import checkpoint as checkpoints
from kexue.diffusion.checkpoint import GeneratorCheckpoint, holds_generator, load_generator, save_generator
from kexue.diffusion.configuration import NAMES, TABLES, part_from_json, part_to_json
from kexue.diffusion.denoisers import DENOISERS, UNet
from kexue.diffusion.denoising import Clip, NetworkDenoiser, Thresholded
from kexue.diffusion.diffusers_format import BETAS, PREDICTION_TYPES, is_variance_preserving, scheduler_config
from kexue.diffusion.grids import Leading, Trailing
from kexue.diffusion.images import PixelScale
from kexue.diffusion.objectives import OBJECTIVES, Simple
from kexue.diffusion.prediction import EPS, PARAMETERIZATIONS, X0, Score, V
from kexue.diffusion.samplers import DDIM, SAMPLERS, PredictorCorrector
from kexue.diffusion.sampling import sample
from kexue.diffusion.schedules import SCHEDULES, VE, Cosine, DiscreteBetas, LinearVP, ZeroTerminalSNR, cosine_betas
from kexue.errors import CheckpointError, OptionError

diffusers = pytest.importorskip("diffusers")
SHAPE = (1, 8, 8)


def unet(num_classes: int = 0) -> UNet:
    torch.manual_seed(0)
    return UNet.preset("tiny", SHAPE, num_classes).eval()


def said(checkpoint: GeneratorCheckpoint) -> Tensor:
    labels = torch.tensor([0, 1]) if checkpoint.network.num_classes else None
    x = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return checkpoint.network(x, torch.tensor([0.1, 0.8]), labels)


# --- parts ---


@pytest.mark.parametrize("kind", ["schedule", "parameterization", "objective", "sampler"])
def test_every_part_survives_json(kind: str):
    table = {
        "schedule": SCHEDULES,
        "parameterization": PARAMETERIZATIONS,
        "objective": OBJECTIVES,
        "sampler": SAMPLERS,
    }[kind]
    for part in table.values():
        whole = part()
        assert part_from_json(json.loads(json.dumps(part_to_json(whole))), kind, table) == whole


@pytest.mark.parametrize(
    ("part", "table"),
    [
        (ZeroTerminalSNR(Cosine()), SCHEDULES),
        (PredictorCorrector(DDIM(eta=0.3), snr=0.1), SAMPLERS),
        (DiscreteBetas(tuple(cosine_betas(7).tolist())), SCHEDULES),
        (Simple(V()), OBJECTIVES),
    ],
)
def test_parts_within_parts_survive_json(part: object, table: dict):
    assert part_from_json(json.loads(json.dumps(part_to_json(part))), "part", table) == part


def test_no_two_parts_have_the_same_name():
    names = [name for table in TABLES for name in table]
    assert len(set(names)) == len(names) == len(NAMES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "linear"}, "unknown schedule 'linear'"),
        (
            {"name": "linear_vp", "beta_mim": 1},
            "schedule 'linear_vp': unknown field 'beta_mim'. Did you mean 'beta_min'",
        ),
        ({"name": "zero_terminal_snr", "base": {"name": "none"}}, "unknown schedule 'none'"),
        ({}, "unknown schedule 'None'"),
    ],
)
def test_a_wrong_name_or_field_is_refused_with_the_right_one(values: dict, message: str):
    with pytest.raises(OptionError, match=message):
        part_from_json(values, "schedule", SCHEDULES)


# --- ours ---


@pytest.mark.parametrize("kind", DENOISERS)
@pytest.mark.parametrize("num_classes", [0, 2])
def test_what_is_saved_is_loaded(tmp_path: Path, kind: str, num_classes: int):
    torch.manual_seed(0)
    network = DENOISERS[kind].preset("tiny", SHAPE, num_classes, dropout=0.1).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    names = ("ant", "bee")[:num_classes]
    before = GeneratorCheckpoint(network, ZeroTerminalSNR(), V(), PixelScale(16), names, {"epochs": 3}, {"loss": 0.5})
    save_generator(before, tmp_path / "model")
    after = load_generator(tmp_path / "model")
    assert torch.equal(said(after), said(before))
    assert not after.network.training
    for name in ("schedule", "parameterization", "scale", "label_names", "recipe", "metrics"):
        assert getattr(after, name) == getattr(before, name)
    assert len(after.fingerprint) == 64
    assert not list((tmp_path / "model").rglob("*.bin"))


def test_a_new_model_replaces_every_file_of_the_old_one_and_no_other(tmp_path: Path):
    save_generator(GeneratorCheckpoint(unet()), tmp_path)
    (tmp_path / "notes.txt").write_text("keep me")
    save_generator(GeneratorCheckpoint(DENOISERS["gau"].preset("tiny", SHAPE)), tmp_path)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"README.md", "kexue.json", "network/config.json", "network/model.safetensors", "notes.txt"}


def saved(folder: Path) -> Path:
    save_generator(GeneratorCheckpoint(unet()), folder)
    return folder


@pytest.mark.parametrize("name", ["unet/config.json", "unet/diffusion_pytorch_model.safetensors", "model_index.json"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, name: str):
    path = saved(tmp_path) / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=f"{name}: is damaged"):
        load_generator(tmp_path)
    path.unlink()
    with pytest.raises(CheckpointError, match=f"the file {name} is missing"):
        load_generator(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": [2, 0]}, "in checkpoint format 2.*upgrade"),
        ({"kind": "pre-trained encoder"}, "holds a model of kind 'pre-trained encoder', not a generator"),
        ({"schedule": {"name": "linear_vq"}}, "Did you mean 'linear_vp'"),
        ({"network": {"kind": "unit"}}, "unknown network 'unit'. Did you mean 'unet'"),
        ({"max_value": 999}, "max_value must be within"),
        ({"files": 3}, "kexue.json: is damaged"),
        ({"files": {"../outside": "0"}}, "the file ../outside is missing"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_refused(tmp_path: Path, change: dict, message: str):
    folder = saved(tmp_path / "model")
    (tmp_path / "outside").touch()
    manifest = json.loads((folder / "kexue.json").read_text("utf-8"))
    (folder / "kexue.json").write_text(json.dumps(manifest | change), "utf-8")
    with pytest.raises(CheckpointError, match=message):
        load_generator(folder)


def test_an_unfinished_folder_is_refused_even_where_diffusers_would_read_it(tmp_path: Path):
    folder = saved(tmp_path)
    (folder / "kexue.json").unlink()
    (folder / "training").mkdir()
    with pytest.raises(CheckpointError, match=r"not a finished kexue model \(an unfinished training"):
        load_generator(folder)
    with pytest.raises(CheckpointError, match="there is no such folder"):
        load_generator(tmp_path / "nothing")


# --- diffusers reads ours ---


@pytest.mark.parametrize("schedule", [DiscreteBetas(), LinearVP(), Cosine(), ZeroTerminalSNR()])
@pytest.mark.parametrize("kind", [EPS, V(), X0()])
def test_a_pipeline_of_diffusers_makes_our_pictures(tmp_path: Path, schedule: object, kind: object):
    if (schedule, kind) == (ZeroTerminalSNR(), EPS):
        pytest.skip("of noise alone nothing follows for x_0")
    checkpoint = GeneratorCheckpoint(unet(), schedule, kind)
    save_generator(checkpoint, tmp_path)
    pipeline = diffusers.DDPMPipeline.from_pretrained(tmp_path)
    assert type(pipeline.scheduler).__name__ == "DDPMScheduler"
    pipeline.set_progress_bar_config(disable=True)
    exact(pipeline.scheduler, DiscreteBetas(tuple(checkpoint.schedule.discrete_betas(1000).tolist())))
    generator = torch.Generator().manual_seed(1)
    theirs = pipeline(2, generator, num_inference_steps=10, output_type="pt", return_dict=False)[0] * 2 - 1
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(2, *SHAPE, generator=generator)
    found = ours(checkpoint, noise, 10, generator, sampler=DDIM(eta=1.0), grid=Trailing())
    torch.testing.assert_close(theirs.double(), found.clamp(-1, 1).double(), atol=1e-4, rtol=0)


def ours(
    checkpoint: GeneratorCheckpoint, noise: Tensor, num_steps: int, generator: torch.Generator, **options: object
) -> Tensor:
    """Our loop from the unit noise that diffusers begins with; we would begin with noise of `prior_std`."""
    denoise = NetworkDenoiser(checkpoint.network, checkpoint.schedule, checkpoint.parameterization)
    start = noise / checkpoint.schedule.prior_std
    return sample(denoise, checkpoint.schedule, start, num_steps=num_steps, generator=generator, **options)


def exact(scheduler: object, schedule: DiscreteBetas) -> None:
    """Give a scheduler of diffusers its betas in float64; in float32 its 1 - alpha^2 is off by 2e-4 near the data."""
    betas = torch.tensor(schedule.betas, dtype=torch.float64)
    torch.testing.assert_close(scheduler.betas.double(), betas, atol=0, rtol=2e-5)
    scheduler.alphas_cumprod = torch.cumprod(1 - betas, 0)


def test_what_diffusers_has_no_words_for_is_left_out(tmp_path: Path):
    assert scheduler_config(VE(), EPS) is None
    assert scheduler_config(LinearVP(), Score()) is None
    assert not is_variance_preserving(VE())
    for number, checkpoint in enumerate([GeneratorCheckpoint(unet(), VE()), GeneratorCheckpoint(unet(2))]):
        save_generator(checkpoint, tmp_path / str(number))
        assert not (tmp_path / str(number) / "model_index.json").exists()
        assert type(diffusers.UNet2DModel.from_pretrained(tmp_path / str(number) / "unet")).__name__ == "UNet2DModel"
        torch.testing.assert_close(said(load_generator(tmp_path / str(number))), said(checkpoint))


# --- we read those of diffusers ---


def walk(scheduler: object, network: UNet, noise: Tensor, num_steps: int, **options: float) -> Tensor:
    scheduler.set_timesteps(num_steps)
    generator = torch.Generator().manual_seed(3)
    x = noise.clone()
    with torch.no_grad():
        for timestep in scheduler.timesteps:
            said = network.unet(x, timestep).sample
            x = scheduler.step(said, timestep, x, generator=generator, **options).prev_sample.to(noise.dtype)
    return x


FOREIGN = [
    ("DDIMScheduler", "linear", "epsilon"),
    ("DDIMScheduler", "scaled_linear", "v_prediction"),
    ("DDIMScheduler", "squaredcos_cap_v2", "sample"),
    ("DDPMScheduler", "linear", "v_prediction"),
    ("DDPMScheduler", "squaredcos_cap_v2", "epsilon"),
    ("DDPMScheduler", "sigmoid", "sample"),
]


def test_every_kind_of_betas_and_of_prediction_is_compared():
    assert {betas for _, betas, _ in FOREIGN} == BETAS.keys()
    assert {kind for _, _, kind in FOREIGN} == PREDICTION_TYPES.keys()


@pytest.mark.parametrize(("name", "beta_schedule", "prediction_type"), FOREIGN)
def test_a_checkpoint_of_diffusers_is_sampled_to_the_same_pictures(
    tmp_path: Path, name: str, beta_schedule: str, prediction_type: str
):
    scheduler = getattr(diffusers, name)(
        beta_schedule=beta_schedule, prediction_type=prediction_type, clip_sample=False, timestep_spacing="leading"
    )
    network = unet()
    pipeline = diffusers.DDIMPipeline if name == "DDIMScheduler" else diffusers.DDPMPipeline
    pipeline(network.unet, scheduler).save_pretrained(tmp_path)
    checkpoint = load_generator(tmp_path)
    exact(scheduler, checkpoint.schedule)
    network.double()
    checkpoint.network.double()
    noise = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for eta in (0.0, 0.5, 1.0) if name == "DDIMScheduler" else (1.0,):
        theirs = walk(scheduler, network, noise, 10, **({"eta": eta} if name == "DDIMScheduler" else {}))
        generator = torch.Generator().manual_seed(3)
        found = ours(checkpoint, noise, 10, generator, sampler=DDIM(eta), grid=Leading())
        assert float((theirs - found).abs().max()) < 1e-6 * float(theirs.abs().max())


@pytest.mark.parametrize("name", ["DDIMScheduler", "DDPMScheduler"])
def test_clipping_is_that_of_diffusers_where_it_derives_eps_again(name: str):
    network, noise = unet().double(), torch.randn(2, *SHAPE, dtype=torch.float64)
    options = {"use_clipped_model_output": True, "eta": 0.0} if name == "DDIMScheduler" else {}
    scheduler = getattr(diffusers, name)(clip_sample=True)
    exact(scheduler, DiscreteBetas())
    theirs = walk(scheduler, network, noise, 10, **options)
    denoise = Thresholded(NetworkDenoiser(network, DiscreteBetas()), Clip())
    generator = torch.Generator().manual_seed(3)
    eta = 0.0 if options else 1.0
    start = noise / DiscreteBetas().prior_std
    found = sample(denoise, DiscreteBetas(), start, DDIM(eta), 10, generator, grid=Leading())
    torch.testing.assert_close(theirs, found, atol=1e-6, rtol=1e-6)


def test_the_older_layout_without_sub_folders_is_read(tmp_path: Path):
    pipeline = diffusers.DDPMPipeline(unet().unet, diffusers.DDPMScheduler(rescale_betas_zero_snr=True))
    pipeline.save_pretrained(tmp_path / "new")
    flat = tmp_path / "old"
    flat.mkdir()
    for path in (tmp_path / "new").rglob("*.*"):
        shutil.copy(path, flat / path.name)
    checkpoint = load_generator(flat)
    torch.testing.assert_close(said(checkpoint), said(GeneratorCheckpoint(unet())))
    assert checkpoint.schedule.betas[-1] == 1


def test_a_network_that_learnt_its_variance_is_asked_for_the_mean(tmp_path: Path):
    config = dict(unet().unet.config) | {"out_channels": 2}
    torch.manual_seed(0)
    wide = diffusers.UNet2DModel.from_config(config).eval()
    diffusers.DDPMPipeline(wide, diffusers.DDPMScheduler(variance_type="learned_range")).save_pretrained(tmp_path)
    x = torch.randn(2, *SHAPE)
    network = load_generator(tmp_path).network
    torch.testing.assert_close(network(x, torch.tensor([0.5, 0.5])), wide(x, 499).sample[:, :1])


def foreign(folder: Path) -> Path:
    diffusers.DDPMPipeline(unet().unet, diffusers.DDPMScheduler()).save_pretrained(folder)
    return folder


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def test_foreign_folders_that_cannot_be_read_are_refused_with_the_reason(tmp_path: Path):
    folder = foreign(tmp_path)
    scheduler, config = folder / "scheduler" / "scheduler_config.json", folder / "unet" / "config.json"
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    originals = {path: path.read_bytes() for path in (scheduler, config, weights)}

    def refused(message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            load_generator(folder)
        for path, content in originals.items():
            path.write_bytes(content)

    rewrite(scheduler, beta_schedule="linnear")
    refused("Did you mean 'linear'")
    rewrite(scheduler, prediction_type="flow")
    refused("unknown prediction type 'flow'")
    scheduler.write_text("{}")
    refused("it states no betas")
    scheduler.unlink()
    refused("has no scheduler_config.json")
    rewrite(config, num_class_embeds=10)
    refused("is conditional on classes")
    rewrite(config, _class_name="UNet2DConditionModel")
    refused("holds a UNet2DConditionModel")
    config.write_text("{")
    refused("is damaged")
    weights.write_bytes(originals[weights][:100])
    refused("cannot be loaded")
    save_file(dict(list(load_file(weights).items())[1:]), weights)
    refused("cannot be loaded")
    weights.rename(folder / "unet" / "diffusion_pytorch_model.bin")
    refused("pickled weights .*never loaded.*safe_serialization=True")


def test_a_folder_says_whether_it_holds_a_generator(tmp_path: Path):
    assert not holds_generator(tmp_path)
    assert not holds_generator(tmp_path / "none")
    assert holds_generator(saved(tmp_path / "ours"))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "ours" / "model_index.json").rename(tmp_path / "foreign" / "model_index.json")
    assert holds_generator(tmp_path / "foreign")
    for content in ('{"kind": "extraction"}', "[]", "{"):
        (tmp_path / "ours" / "kexue.json").write_text(content, "utf-8")
        assert not holds_generator(tmp_path / "ours")


def test_images_too_large_to_try_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = saved(tmp_path)
    monkeypatch.setattr(checkpoints, "MOST_VALUES", 10)
    with pytest.raises(CheckpointError, match=r"no images are of \d+ x \d+ x \d+"):
        load_generator(folder)


def test_a_network_that_changes_the_shape_of_images_is_refused(tmp_path: Path):
    sizes = {"sample_size": 8, "block_out_channels": (8,), "norm_num_groups": 4, "layers_per_block": 1}
    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
    network = diffusers.UNet2DModel(in_channels=2, out_channels=1, **sizes, **blocks)
    diffusers.DDPMPipeline(network, diffusers.DDPMScheduler()).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"the network makes \[1, 1, 2, 2\] of \[1, 2, 2, 2\]"):
        load_generator(tmp_path)

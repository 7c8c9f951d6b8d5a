"""An encoder as an ONNX file gives the states of the encoder it was made from, for any windows, and harms nobody."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.external_data_helper import set_external_data
from torch import nn
from torch.testing import assert_close
from transformers import (
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ModernBertConfig,
    PretrainedConfig,
    RobertaConfig,
)

from kexue.encoders import exporting
from kexue.encoders.exported import ExportedEncoder
from kexue.encoders.exporting import LARGEST_FILE, export_encoder
from kexue.encoders.gau import GAUConfig
from kexue.encoders.int8 import WEIGHT, quantize, rounded
from kexue.encoders.loading import build_encoder
from kexue.errors import CheckpointError, OptionError
from kexue.ops.attention import ATTENTIONS

pytestmark = pytest.mark.usefixtures("unchecked")
SIZES = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 80}
FAMILIES: dict[str, Callable[[], PretrainedConfig]] = {
    "bert": lambda: BertConfig(**SIZES, **HEADS),
    "roberta": lambda: RobertaConfig(**SIZES, **HEADS, pad_token_id=1),
    "distilbert": lambda: DistilBertConfig(vocab_size=50, dim=32, n_layers=2, n_heads=2, hidden_dim=64),
    "deberta-v2": lambda: DebertaV2Config(**SIZES, **HEADS, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    "modernbert": lambda: ModernBertConfig(**SIZES, **HEADS, local_attention=8, pad_token_id=0),
}
MAPS = [name for name in ATTENTIONS if name != "mixed_chunk"]


def make(config: PretrainedConfig) -> Any:
    torch.manual_seed(0)
    return build_encoder(config).eval()


def gau(**changes: Any) -> Any:
    return make(GAUConfig(**SIZES, key_dim=16, **changes))


def windows(count: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, 50, (count, width), generator=generator)
    lengths = torch.randint(1, width + 1, (count, 1), generator=generator)
    return ids, (torch.arange(width) < lengths).long()


@torch.inference_mode()
def states(encoder: nn.Module, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return encoder(input_ids=ids, attention_mask=mask).last_hidden_state[mask.bool()]


def assert_same_states(encoder: nn.Module, exported: nn.Module) -> None:
    for count, width in ((1, 1), (1, 72), (2, 2), (7, 16), (33, 24)):
        given = windows(count, width)
        assert_close(states(exported, *given), states(encoder, *given), atol=2e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, unchecked: None) -> Path:
    """The GAU encoder of `gau()` as a file."""
    path = tmp_path_factory.mktemp("exported") / "encoder.onnx"
    assert export_encoder(gau(), path) < 1e-5
    return path


def test_windows_of_any_number_and_width_have_the_states_of_the_encoder(exported: Path):
    encoder = gau()
    assert_same_states(encoder, ExportedEncoder(exported, encoder.config))


@pytest.mark.long
@pytest.mark.parametrize("attention", [name for name in MAPS if name != GAUConfig().attention])
@pytest.mark.parametrize("causal", [False, True])
def test_every_attention_map_of_the_gau_encoder_is_exported(attention: str, causal: bool, tmp_path: Path):
    encoder = gau(attention=attention, causal=causal)
    export_encoder(encoder, tmp_path / "encoder.onnx")
    assert_same_states(encoder, ExportedEncoder(tmp_path / "encoder.onnx", encoder.config))


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_encoders_of_the_hub_are_exported(family: str, tmp_path: Path):
    encoder = make(FAMILIES[family]())
    export_encoder(encoder, tmp_path / "encoder.onnx")
    assert_same_states(encoder, ExportedEncoder(tmp_path / "encoder.onnx", encoder.config))


def test_an_encoder_that_goes_by_chunks_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(OptionError, match="the attention MixedChunk reads a text chunk by chunk"):
        export_encoder(gau(attention="mixed_chunk"), tmp_path / "encoder.onnx")


class _Pretending(nn.Module):
    """Does something else while it is traced."""

    def __init__(self) -> None:
        super().__init__()
        self.config = GAUConfig(**SIZES)
        self.inside = gau()

    def forward(self, **given: torch.Tensor) -> Any:
        found = self.inside(**given)
        if torch.compiler.is_compiling():
            found.last_hidden_state = 1.01 * found.last_hidden_state
        return found


def test_a_file_that_gives_other_states_is_refused(tmp_path: Path):
    with pytest.raises(OptionError, match=r"cannot be exported: the file gives states that differ by 0\.0"):
        export_encoder(_Pretending(), tmp_path / "encoder.onnx")


def test_a_file_that_onnxruntime_cannot_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def cannot(*_: object) -> None:
        raise CheckpointError("an operator is not implemented")

    monkeypatch.setattr(exporting, "ExportedEncoder", cannot)
    with pytest.raises(OptionError, match="cannot be exported: an operator is not implemented"):
        exporting.load_written(gau(), tmp_path)


class _Choosing(nn.Module):
    """Looks at its tokens before it decides what to do, which no graph can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.config = GAUConfig(**SIZES)
        self.inside = gau()

    def forward(self, **given: torch.Tensor) -> Any:
        found = self.inside(**given)
        if given["input_ids"].sum() % 2:
            found.last_hidden_state = -found.last_hidden_state
        return found


def test_an_encoder_that_cannot_be_traced_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(OptionError, match=r"this encoder \(gau\) cannot be exported: ") as error:
        export_encoder(_Choosing(), tmp_path / "encoder.onnx")
    assert "\n" not in str(error.value)


# --- int8 ---


@pytest.fixture(scope="module")
def in_int8(exported: Path) -> Path:
    path = exported.with_name("int8.onnx")
    quantize(exported, path, largest=LARGEST_FILE)
    return path


def test_int8_is_close_and_not_the_same(in_int8: Path):
    encoder = gau()
    given = windows(5, 24)
    exact, close = states(encoder, *given), states(ExportedEncoder(in_int8, encoder.config), *given)
    assert 1e-4 < float((exact - close).abs().max()) < 0.2


def test_weights_are_rounded_to_the_nearest_of_127_steps_of_their_output():
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(40, 7)).astype(np.float32) * np.logspace(-3, 3, 7, dtype=np.float32)
    weight[:, 3] = 0
    integers, scale = rounded(weight)
    assert integers.dtype == np.int8 and np.abs(integers).max(0).tolist() == [63, 63, 63, 0, 63, 63, 63]
    assert (np.abs(weight - integers * scale) <= 0.5001 * scale).all()


def test_the_largest_sum_of_two_products_fits_into_16_bits():
    """Without it a processor that adds in 16 bits gives other states than one that does not."""
    assert 2 * 255 * WEIGHT < 2**15 <= 2 * 255 * (WEIGHT + 2)


def test_states_are_those_of_integers_computed_by_hand(in_int8: Path, exported: Path):
    """The first product of the first unit, by numpy in integers."""
    graph = onnx.load(in_int8).graph
    product = next(node for node in graph.node if node.op_type == "MatMulIntegerToFloat")
    state = product.input[0].removesuffix("_int8")
    output = product.output[0].removesuffix("_unscaled")
    ids, mask = windows(3, 8)
    given = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    exact = run_to(exported, [state, output], given)
    (found,) = run_to(in_int8, [output], given)
    x, weight = (
        exact[0],
        constants(exported)[next(n for n in onnx.load(exported).graph.node if output in n.output).input[1]],
    )
    rows = np.abs(x).max(-1, keepdims=True) / 127
    columns = np.abs(weight).max(0) / 63
    by_hand = (np.rint(x / rows).astype(np.int64) @ np.rint(weight / columns).astype(np.int64)) * rows * columns
    np.testing.assert_allclose(found, by_hand, atol=2e-3)
    assert 1e-3 < np.abs(found - exact[1]).max() < 0.1


def constants(path: Path) -> dict[str, np.ndarray]:
    return {item.name: onnx.numpy_helper.to_array(item) for item in onnx.load(path).graph.initializer}


def run_to(path: Path, names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The values of tensors inside."""
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(names, {item.name: given[item.name] for item in session.get_inputs()})


def test_every_product_with_weights_is_in_int8(in_int8: Path):
    operators = [node.op_type for node in onnx.load(in_int8).graph.node]
    weights = {item.name for item in onnx.load(in_int8).graph.initializer}
    products = [node for node in onnx.load(in_int8).graph.node if node.op_type in ("MatMul", "Gemm")]
    assert operators.count("MatMulIntegerToFloat") == 4  # two projections of each unit
    assert not [node.name for node in products if weights & set(node.input)]


def test_a_window_has_the_same_states_in_int8_whatever_stands_beside_it(in_int8: Path):
    encoder = ExportedEncoder(in_int8, gau().config)
    ids, mask = windows(6, 24)
    together = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    for row in range(len(ids)):
        length = int(mask[row].sum())
        alone = encoder(input_ids=ids[row : row + 1, :length], attention_mask=mask[row : row + 1, :length])
        assert_close(alone.last_hidden_state[0], together[row, :length], atol=2e-5, rtol=1e-4)


# --- what is in the folder and what is not ---


def damaged(path: Path, harm: str) -> Path:
    """A copy of a file with something wrong."""
    target = path.with_name(f"{harm}.onnx")
    content = path.read_bytes()
    target.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"no model"}[harm])
    return target


@pytest.mark.parametrize("harm", ["empty", "cut", "text"])
def test_a_damaged_file_is_named(harm: str, exported: Path):
    path = damaged(exported, harm)
    with pytest.raises(CheckpointError) as error:
        ExportedEncoder(path, gau().config)
    assert str(error.value).startswith(f"{path}: onnxruntime ") and "\n" not in str(error.value)


def test_a_file_of_another_kind_is_refused(tmp_path: Path, exported: Path):
    model = onnx.load(exported)
    model.graph.input[0].name = "tokens"
    for node in model.graph.node:
        node.input[:] = ["tokens" if name == "input_ids" else name for name in node.input]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(CheckpointError, match=r"other.onnx: takes \('tokens', 'attention_mask'\)"):
        ExportedEncoder(tmp_path / "other.onnx", gau().config)


def pointing(exported: Path, folder: Path, location: str) -> Path:
    """The file, but one of its weights is read from somewhere."""
    folder.mkdir()
    model = onnx.load(exported)
    weight = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    (folder.parent / "secret").write_bytes(weight.raw_data)
    (folder / "inside").write_bytes(weight.raw_data)
    (folder / "link").symlink_to(folder.parent / "secret")
    set_external_data(weight, location.format(folder=folder.parent), length=len(weight.raw_data))
    weight.ClearField("raw_data")
    (folder / "encoder.onnx").write_bytes(model.SerializeToString())
    return folder / "encoder.onnx"


def test_weights_beside_the_file_are_read(exported: Path, tmp_path: Path):
    encoder = gau()
    path = pointing(exported, tmp_path / "model", "inside")
    assert_same_states(encoder, ExportedEncoder(path, encoder.config))


@pytest.mark.parametrize("location", ["../secret", "{folder}/secret", "inside/../../secret", "link"])
def test_nothing_outside_of_the_folder_is_read(location: str, exported: Path, tmp_path: Path):
    path = pointing(exported, tmp_path / "model", location)
    with pytest.raises(CheckpointError, match="cannot run it"):
        ExportedEncoder(path, gau().config)


def test_running_needs_no_more_than_onnxruntime(exported: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("onnx", "onnxscript", "onnx_ir"):
        monkeypatch.setitem(sys.modules, name, None)
    assert_same_states(gau(), ExportedEncoder(exported, gau().config))


@pytest.mark.parametrize("package", ["onnxruntime", "onnx", "onnxscript"])
def test_a_missing_package_is_named_with_the_extra(
    package: str, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(OptionError, match=r"pip install 'kexue\[onnx-export\]'"):
        export_encoder(gau(), tmp_path / "encoder.onnx")
    if package == "onnxruntime":
        with pytest.raises(OptionError, match=r"pip install 'kexue\[onnx\]'"):
            ExportedEncoder(exported, gau().config)

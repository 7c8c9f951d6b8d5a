"""Weights of GAU-alpha under their published names against the published model code in loops."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from tests.reference import gau_alpha as reference
from torch.testing import assert_close
from transformers import AutoModelForMaskedLM

from kexue.encoders.gau import GAUForMaskedLM
from kexue.encoders.gau_alpha import convert_gau_alpha, gau_alpha, read_weights
from kexue.encoders.loading import load_encoder
from kexue.encoders.tensorflow_checkpoint import read_tensorflow_checkpoint
from kexue.errors import CheckpointError

DIM, INNER, KEY, LAYERS, VOCABULARY = 6, 12, 4, 2, 11
WRITTEN = Path(__file__).parent / "tensorflow_checkpoint"
"""Files that TensorFlow 2.21 wrote (SaveV2), in base64: the arrays of `published`, and a step."""
INDEX = "bert_model.ckpt.index"


def published() -> dict[str, np.ndarray]:
    """Arrays of the names and shapes of the checkpoint that was published, but small."""
    shapes = {
        "bert/embeddings/word_embeddings": (VOCABULARY, DIM),
        "bert/embeddings/token_type_embeddings": (2, DIM),
    }
    for layer in range(LAYERS):
        prefix = f"GAU_alpha/encoder/layer_{layer}/gau/"
        shapes |= {
            prefix + "i_dense/kernel": (DIM, 2 * INNER + KEY),
            prefix + "o_dense/kernel": (INNER, DIM),
            prefix + "q_scaleoffset/gamma": (KEY,),
            prefix + "k_scaleoffset/gamma": (KEY,),
        }
    generator = np.random.default_rng(0)
    return {name: generator.standard_normal(shape).astype("f4") for name, shape in shapes.items()}


def ported(prefix: str) -> dict[str, np.ndarray]:
    """The same in the PyTorch port: other names, matrices transposed, the head a second time."""
    arrays = {}
    for name, value in published().items():
        name = name.replace("bert/embeddings/", "embeddings.").replace("_embeddings", "_embeddings.weight", 1)
        name = name.replace("GAU_alpha/encoder/layer_", "encoder.layer.").replace("/kernel", ".weight")
        name = name.replace("/gamma", ".weight").replace("/", ".")
        arrays[prefix + name] = np.ascontiguousarray(value.T) if "_dense" in name else value
    return arrays | {"cls.predictions.decoder.weight": arrays[prefix + "embeddings.word_embeddings.weight"]}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder with the files that TensorFlow wrote."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for file in WRITTEN.glob("*.b64"):
        (folder / file.stem).write_bytes(base64.b64decode(file.read_text("ascii")))
    return folder


def exact(model: GAUForMaskedLM, ids: list[int], segments: list[int] | None = None) -> torch.Tensor:
    types = None if segments is None else torch.tensor([segments])
    return model.double()(torch.tensor([ids]), token_type_ids=types).logits[0]


@pytest.mark.parametrize("length", [1, 5, 20])
@pytest.mark.parametrize("arrays", [published(), ported("gau_alpha."), ported("")], ids=["tensorflow", "port", "bare"])
def test_the_scores_are_those_of_the_published_code(arrays, length):
    generator = np.random.default_rng(length)
    ids = generator.integers(1, VOCABULARY, length).tolist()
    segments = generator.integers(0, 2, length).tolist()
    weights = {name: value.astype("f8") for name, value in published().items()}
    expected = torch.from_numpy(reference.scores(ids, segments, weights, LAYERS))
    assert_close(exact(gau_alpha(arrays), ids, segments), expected)


def test_tensors_do_as_well_as_arrays():
    tensors = {name: torch.from_numpy(value) for name, value in published().items()}
    assert_close(exact(gau_alpha(tensors), [1, 2, 3]), exact(gau_alpha(published()), [1, 2, 3]))


def test_a_checkpoint_that_tensorflow_wrote_is_read_without_it(checkpoint):
    arrays = read_tensorflow_checkpoint(checkpoint / INDEX)
    assert arrays.pop("global_step") == 7
    assert arrays.keys() == published().keys()
    for name, value in published().items():
        assert arrays[name].dtype == np.float32
        assert np.array_equal(arrays[name], value)


def test_a_damaged_checkpoint_is_refused(checkpoint):
    index = checkpoint / INDEX
    whole = index.read_bytes()
    index.write_bytes(whole[:-3])
    with pytest.raises(CheckpointError, match="does not end as a table does"):
        read_tensorflow_checkpoint(index)
    index.write_bytes(whole)
    next(checkpoint.glob("*.data-*")).unlink()
    with pytest.raises(CheckpointError, match="there is no bert_model"):
        read_tensorflow_checkpoint(index)


@pytest.mark.parametrize("kind", ["tensorflow", "safetensors", "npz"])
def test_a_folder_is_converted_to_one_that_the_loaders_read(kind, checkpoint, tmp_path):
    source, output = tmp_path / "published", tmp_path / "ours"
    source.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "今", "天", "气", "很", "好", "a"]
    (source / "vocab.txt").write_text("\n".join(words), "utf-8")
    if kind == "tensorflow":
        for file in checkpoint.iterdir():
            shutil.copy(file, source)
    elif kind == "safetensors":
        save_file(ported("gau_alpha."), source / "model.safetensors")
    else:
        np.savez(source / "weights.npz", **published())
    convert_gau_alpha(source, output)
    model = AutoModelForMaskedLM.from_pretrained(output)
    assert_close(exact(model.eval(), [1, 2, 3]), exact(gau_alpha(published()), [1, 2, 3]))
    encoder, tokenizer = load_encoder(output)
    ids = tokenizer("今天A")["input_ids"]
    assert ids == [2, 5, 6, 10, 3]
    assert encoder(torch.tensor([ids])).last_hidden_state.shape == (1, 5, DIM)


def test_what_is_missing_is_named(tmp_path):
    arrays = published()
    del arrays["GAU_alpha/encoder/layer_1/gau/o_dense/kernel"]
    with pytest.raises(CheckpointError, match="layer_1/gau/o_dense/kernel is missing"):
        gau_alpha(arrays)
    with pytest.raises(CheckpointError, match=r"encoder\.layer|embeddings"):
        gau_alpha({"something": np.zeros(3)})
    with pytest.raises(CheckpointError, match=r"no vocab\.txt"):
        convert_gau_alpha(tmp_path, tmp_path / "out")
    with pytest.raises(CheckpointError, match="is a pickle"):
        read_weights(tmp_path)


def test_a_weight_of_the_wrong_shape_is_refused():
    arrays = published() | {"bert/embeddings/token_type_embeddings": np.zeros((2, DIM + 1), "f4")}
    with pytest.raises(CheckpointError, match="not the weights of a GAU-alpha"):
        gau_alpha(arrays)

"""GAU-alpha, the Chinese encoder of 24 gated attention units that was published in 2022, as a `GAUForMaskedLM`.

    TensorFlow   bert/embeddings/word_embeddings      GAU_alpha/encoder/layer_0/gau/i_dense/kernel          transposed
    PyTorch      embeddings.word_embeddings.weight    encoder.layer.0.gau.i_dense.weight
    here         gau.embedding.weight                 gau.layers.0.unit.input.weight

The architecture is the same, number for number: entropy-invariant softmax with at least 16 tokens counted (the PyTorch
port leaves that out, and differs for shorter texts), rotary positions, no biases, a norm without gain after each sum,
and a head that is the product with the embeddings. Source: ZhuiyiTechnology/GAU-alpha and JunnYu/GAU-alpha-pytorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor
from transformers import BertTokenizerFast

from kexue.encoders.gau import GAUConfig, GAUForMaskedLM
from kexue.encoders.tensorflow_checkpoint import read_tensorflow_checkpoint
from kexue.errors import CheckpointError

TENSORFLOW = {
    "gau.embedding.weight": "bert/embeddings/word_embeddings",
    "gau.segment_embedding.weight": "bert/embeddings/token_type_embeddings",
    "input": "GAU_alpha/encoder/layer_{}/gau/i_dense/kernel",
    "output": "GAU_alpha/encoder/layer_{}/gau/o_dense/kernel",
    "query": "GAU_alpha/encoder/layer_{}/gau/q_scaleoffset/gamma",
    "key": "GAU_alpha/encoder/layer_{}/gau/k_scaleoffset/gamma",
}
"""What each weight is called in the published checkpoint; kernels there are inputs x outputs."""
PYTORCH = {
    "gau.embedding.weight": "embeddings.word_embeddings.weight",
    "gau.segment_embedding.weight": "embeddings.token_type_embeddings.weight",
    "input": "encoder.layer.{}.gau.i_dense.weight",
    "output": "encoder.layer.{}.gau.o_dense.weight",
    "query": "encoder.layer.{}.gau.q_scaleoffset.weight",
    "key": "encoder.layer.{}.gau.k_scaleoffset.weight",
}
"""In the PyTorch port; a masked language model puts `gau_alpha.` in front of each."""
PREFIX = "gau_alpha."


def convert_gau_alpha(source: str | Path, output: str | Path) -> None:
    """Write the published model as a folder that `load_encoder` and `AutoModel` read.

    `source` is a folder with vocab.txt and the weights: bert_model.ckpt.index with its data (TensorFlow), or
    model.safetensors or weights.npz with the names of either. Raises `CheckpointError` where something is missing.
    """
    folder = Path(source)
    vocabulary = folder / "vocab.txt"
    if not vocabulary.is_file():
        raise CheckpointError(f"{folder}: has no vocab.txt, the vocabulary that comes with GAU-alpha")
    model = gau_alpha(read_weights(folder))
    model.save_pretrained(output)
    BertTokenizerFast(vocab=str(vocabulary), do_lower_case=True).save_pretrained(output)


def read_weights(folder: Path) -> Mapping[str, np.ndarray]:
    """The arrays of the first file of weights found in a folder; raises `CheckpointError` where there is none."""
    for name, read in READERS.items():
        if (folder / name).is_file():
            return read(folder / name)
    raise CheckpointError(
        f"{folder}: has none of {', '.join(READERS)}; a pytorch_model.bin is a pickle: give what "
        "torch.load(..., weights_only=True) returns to kexue.encoders.gau_alpha.gau_alpha instead"
    )


def _read_npz(path: Path) -> Mapping[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


READERS = {
    "bert_model.ckpt.index": read_tensorflow_checkpoint,
    "model.safetensors": load_file,
    "weights.npz": _read_npz,
}
"""Files of weights and what reads them."""


def gau_alpha(weights: Mapping[str, np.ndarray | Tensor]) -> GAUForMaskedLM:
    """The model with these weights, in evaluation mode; its sizes are read off them.

    Raises `CheckpointError` where a weight is missing or of the wrong shape.
    """
    transposed = TENSORFLOW["gau.embedding.weight"] in weights
    names = TENSORFLOW if transposed else PYTORCH
    arrays = {name.removeprefix(PREFIX): torch.as_tensor(value) for name, value in weights.items()}
    embedding, segments = (_get(arrays, names[key]) for key in ("gau.embedding.weight", "gau.segment_embedding.weight"))
    num_units = sum(names["input"].format(number) in arrays for number in range(len(arrays)))
    units = [_unit(arrays, names, number, transposed) for number in range(max(num_units, 1))]
    state = {"gau.embedding.weight": embedding, "gau.segment_embedding.weight": segments, "decoder.weight": embedding}
    for number, unit in enumerate(units):
        state |= {f"gau.layers.{number}.unit.{name}": value for name, value in unit.items()}
    model = GAUForMaskedLM(_config(embedding, segments, units))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"not the weights of a GAU-alpha: {' '.join(str(error).split())[:300]}") from None
    return model.eval()


def _config(embedding: Tensor, segments: Tensor, units: list[dict[str, Tensor]]) -> GAUConfig:
    dim = embedding.shape[1]
    return GAUConfig(
        vocab_size=embedding.shape[0],
        hidden_size=dim,
        num_hidden_layers=len(units),
        expansion=units[0]["output.weight"].shape[1] // dim,
        key_dim=units[0]["scale"].shape[1],
        attention="entropy_invariant_softmax",
        norm_tiny=1e-12,
        type_vocab_size=segments.shape[0],
    )


def _unit(arrays: Mapping[str, Tensor], names: Mapping[str, str], number: int, transposed: bool) -> dict[str, Tensor]:
    """The weights of one unit by the names that they have here; the published ones have no offsets."""
    matrices = [_get(arrays, names[key].format(number)) for key in ("input", "output")]
    scale = torch.stack([_get(arrays, names[key].format(number)) for key in ("query", "key")])
    ours = [matrix.mT if transposed else matrix for matrix in matrices]
    return {"input.weight": ours[0], "output.weight": ours[1], "scale": scale, "offset": torch.zeros_like(scale)}


def _get(arrays: Mapping[str, Any], name: str) -> Tensor:
    if name not in arrays:
        raise CheckpointError(f"not the weights of a GAU-alpha: {name} is missing among {len(arrays)} tensors")
    value: Tensor = arrays[name]
    return value

"""The products of an ONNX file with weights, in integers: every token and every output has a scale of its own.

    x W  =  (q p) * row * column,     q = round(x / row),  row_i = max_k |x_ik| / 127
                                      p = round(W / column),  column_j = max_k |W_kj| / 63

Integers of the weights are fixed in the file, those of the states are made where they are multiplied.
onnxruntime's `quantize_dynamic` takes one scale for all states of a batch instead, so that what is found in a text
would depend on the texts beside it, and one large state makes all others coarse. Its `MatMulNBitsQuantizer` takes one
for each block of a row; that is as independent and finer, but on batches it saves half as much time (docs/onnx.md).

Weights take 7 bits: processors without instructions for it (AVX-512 VNNI) add two products in 16 bits, where
2 * 255 * 127 does not fit and 2 * 255 * 63 does. So a file gives the same states everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kexue.errors import OptionError

STATE, WEIGHT = 127, 63
"""The largest integers of states and of weights."""
CENTRE = 128
"""What stands for 0 among the unsigned integers of states."""
CONTRIB = "com.microsoft"
"""onnxruntime's own operators: `MatMulIntegerToFloat` multiplies integers and scales each column."""


def quantize(path: Path, target: Path, *, largest: int) -> None:
    """Write a file's products in integers; weights over `largest` bytes go beside it.

    Raises `OptionError` where the file has no product of states with weights.
    """
    import onnx

    model = onnx.load(path)
    graph = model.graph
    weights = {item.name: item for item in graph.initializer}
    products = _Products(onnx, weights)
    nodes = [made for node in graph.node for made in products.of(node)]
    if not products.known:
        raise OptionError("this encoder has no product with weights that could be in int8")
    used = {name for node in nodes for name in node.input}
    initializers = [item for item in (*graph.initializer, *products.constants()) if item.name in used]
    for field, values in ((graph.node, nodes), (graph.initializer, initializers)):
        del field[:]
        field.extend(values)
    model.opset_import.append(onnx.helper.make_opsetid(CONTRIB, 1))
    size = sum(item.ByteSize() for item in initializers)
    onnx.save(model, target, save_as_external_data=size > largest, location=f"{target.name}.data")


class _Products:
    """Nodes in integers for nodes in float; the integers of a tensor are made once, for all that multiply it."""

    def __init__(self, onnx: Any, weights: dict[str, Any]) -> None:
        self.onnx, self.weights = onnx, weights
        self.known: dict[str, list[Any]] = {}
        self.states: set[str] = set()

    def of(self, node: Any) -> Iterator[Any]:
        """The nodes that take the place of one."""
        if node.op_type != "MatMul" or len(getattr(self.weights.get(node.input[1]), "dims", ())) != 2:
            yield node
            return
        state, weight = node.input
        if state not in self.states:
            self.states.add(state)
            yield from self._quantize(state)
        if weight not in self.known:
            self.known[weight] = list(self._integers(weight))
        (output,) = node.output
        given = [f"{state}_int8", f"{weight}_int8", "int8_one", f"{weight}_scale", "int8_centre"]
        yield self._node("MatMulIntegerToFloat", given, f"{output}_unscaled", domain=CONTRIB)
        yield self._node("Mul", [f"{output}_unscaled", f"{state}_scale"], output)

    def constants(self) -> Iterable[Any]:
        """The weights in integers, their scales, and the numbers that all products share."""
        values = {
            "int8_axis": np.array([-1], np.int64),
            "int8_tiny": np.array(1e-30, np.float32),
            "int8_step": np.array(1 / STATE, np.float32),
            "int8_most": np.array(STATE, np.float32),
            "int8_half": np.array(CENTRE + 0.5, np.float32),  # the cast to integers cuts off
            "int8_centre": np.array(CENTRE, np.uint8),
            "int8_one": np.array(1, np.float32),
        }
        yield from (self.onnx.numpy_helper.from_array(value, name) for name, value in values.items())
        for parts in self.known.values():
            yield from parts

    def _quantize(self, x: str) -> Iterator[Any]:
        """`x_int8` and `x_scale` of states."""
        for kind, given, name in (
            ("Abs", [x], "size"),
            ("ReduceMax", [f"{x}_size", "int8_axis"], "largest"),
            ("Max", [f"{x}_largest", "int8_tiny"], "positive"),
            ("Mul", [f"{x}_positive", "int8_step"], "scale"),
            ("Div", ["int8_most", f"{x}_positive"], "factor"),
            ("Mul", [x, f"{x}_factor"], "scaled"),
            ("Add", [f"{x}_scaled", "int8_half"], "shifted"),
        ):
            yield self._node(kind, given, f"{x}_{name}")
        yield self._node("Cast", [f"{x}_shifted"], f"{x}_int8", to=self.onnx.TensorProto.UINT8)

    def _integers(self, weight: str) -> Iterator[Any]:
        to_array, from_array = self.onnx.numpy_helper.to_array, self.onnx.numpy_helper.from_array
        integers, scale = rounded(to_array(self.weights[weight]))
        yield from_array(integers, f"{weight}_int8")
        yield from_array(scale, f"{weight}_scale")

    def _node(self, kind: str, given: list[str], output: str, **attributes: Any) -> Any:
        return self.onnx.helper.make_node(kind, given, [output], name=f"{kind}_{output}", **attributes)


def rounded(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights [inputs, outputs] as integers and the scale of each output."""
    scale = np.maximum(np.abs(weight).max(0), 1e-30) / np.float32(WEIGHT)
    return np.rint(weight / scale).astype(np.int8), scale.astype(np.float32)

"""Builds all-MiniLM-L6-v2 as an int8 ONNX graph from its pinned safetensors; running it is minilm_session's.

Runs as a child process (`python minilm_graph.py WEIGHTS TARGET`) and therefore imports nothing of Headrace:
the build takes several hundred megabytes that the server should not keep.

The model is a BERT of 6 layers. The graph reads one text without padding, so it needs no attention mask.
Shapes: `input_ids` int64 [tokens] -> `embedding` float32 [384], of length 1.
Source: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (config.json and modules.json).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime import quantization

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The library has no types.
_QUANTIZATION: Any = quantization

LAYERS = 6
HEADS = 12
WIDTH = 384
HEAD_WIDTH = WIDTH // HEADS
EPSILON = 1e-12
OPSET = 17
IR_VERSION = 8


def read_safetensors(path: Path) -> Mapping[str, NDArray[np.float32]]:
    """Return the float32 tensors of a safetensors file: a length, a JSON header, then one raw buffer."""
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    header_bytes = int.from_bytes(raw[:8].tobytes(), "little")
    header: dict[str, Any] = json.loads(raw[8 : 8 + header_bytes].tobytes())
    data = raw[8 + header_bytes :]
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        start, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[start:end].tobytes(), dtype="<f4").reshape(entry["shape"])
    return tensors


class GraphBuilder:
    """Collects nodes and constants; every method adds one step and returns the name of its output."""

    def __init__(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self._tensors = tensors
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def step(self, operation: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one output of that name."""
        self.nodes.append(helper.make_node(operation, inputs, [name], **attributes))
        return name

    def dense(self, value: str, sources: tuple[str, ...], name: str) -> str:
        """Add a linear layer; several sources become one wider product."""
        weight = np.concatenate([self._tensors[f"{each}.weight"] for each in sources]).T
        bias = np.concatenate([self._tensors[f"{each}.bias"] for each in sources])
        product = self.step("MatMul", [value, self.constant(f"{name}.weight", weight)], f"{name}.product")
        return self.step("Add", [product, self.constant(f"{name}.bias", bias)], name)

    def normalise(self, value: str, source: str, name: str) -> str:
        """Add a layer normalisation."""
        scale = self.constant(f"{name}.scale", self._tensors[f"{source}.weight"])
        bias = self.constant(f"{name}.bias", self._tensors[f"{source}.bias"])
        return self.step("LayerNormalization", [value, scale, bias], name, axis=-1, epsilon=EPSILON)

    def embed(self) -> str:
        """Add the sum of word, position and segment embeddings, normalised."""
        words = self.constant("words", self._tensors["embeddings.word_embeddings.weight"])
        places = self._tensors["embeddings.position_embeddings.weight"]
        segment = self._tensors["embeddings.token_type_embeddings.weight"][0]
        table = self.constant("places", places + segment)
        length = self.step("Shape", ["input_ids"], "length")
        starts = self.constant("zero", np.array([0], np.int64))
        here = self.step("Slice", [table, starts, length, starts], "here")
        word = self.step("Gather", [words, "input_ids"], "word", axis=0)
        total = self.step("Add", [word, here], "token.sum")
        return self.normalise(total, "embeddings.LayerNorm", "token.norm")

    def attend(self, value: str, layer: str) -> str:
        """Add self-attention with its residual."""
        source = f"{layer}.attention"
        parts = tuple(f"{source}.self.{each}" for each in ("query", "key", "value"))
        joined = self.dense(value, parts, f"{layer}.qkv")
        names = [f"{layer}.{each}" for each in ("q", "k", "v")]
        self.nodes.append(helper.make_node("Split", [joined], names, axis=-1))
        heads = [self.step("Reshape", [each, "split_heads"], f"{each}.split") for each in names]
        query = self.step("Transpose", [heads[0]], f"{layer}.query", perm=[1, 0, 2])
        key = self.step("Transpose", [heads[1]], f"{layer}.key", perm=[1, 2, 0])
        values = self.step("Transpose", [heads[2]], f"{layer}.values", perm=[1, 0, 2])
        scores = self.step("MatMul", [query, key], f"{layer}.scores")
        scaled = self.step("Mul", [scores, "head_scale"], f"{layer}.scaled")
        shares = self.step("Softmax", [scaled], f"{layer}.shares", axis=-1)
        mixed = self.step("MatMul", [shares, values], f"{layer}.mixed")
        turned = self.step("Transpose", [mixed], f"{layer}.turned", perm=[1, 0, 2])
        flat = self.step("Reshape", [turned, "join_heads"], f"{layer}.flat")
        out = self.dense(flat, (f"{source}.output.dense",), f"{layer}.attention.out")
        total = self.step("Add", [out, value], f"{layer}.attention.sum")
        return self.normalise(total, f"{source}.output.LayerNorm", f"{layer}.attention.norm")

    def feed_forward(self, value: str, layer: str) -> str:
        """Add the two-layer network (erf GELU) with its residual."""
        wide = self.dense(value, (f"{layer}.intermediate.dense",), f"{layer}.wide")
        scaled = self.step("Div", [wide, "root_two"], f"{layer}.erf.in")
        erf = self.step("Erf", [scaled], f"{layer}.erf")
        gate = self.step("Add", [erf, "one"], f"{layer}.gate")
        gated = self.step("Mul", [wide, gate], f"{layer}.gated")
        active = self.step("Mul", [gated, "half"], f"{layer}.gelu")
        out = self.dense(active, (f"{layer}.output.dense",), f"{layer}.out")
        total = self.step("Add", [out, value], f"{layer}.sum")
        return self.normalise(total, f"{layer}.output.LayerNorm", f"{layer}.norm")

    def pool(self, value: str) -> None:
        """Add the mean over all tokens, scaled to length 1."""
        mean = self.step("ReduceMean", [value], "mean", axes=[0], keepdims=0)
        length = self.step("ReduceL2", [mean], "norm", axes=[0], keepdims=1)
        self.step("Div", [mean, self.step("Max", [length, "tiny"], "safe_norm")], "embedding")

    def fixed(self) -> None:
        """Add the constants that all layers share."""
        self.constant("split_heads", np.array([-1, HEADS, HEAD_WIDTH], np.int64))
        self.constant("join_heads", np.array([-1, WIDTH], np.int64))
        scalars = {"head_scale": HEAD_WIDTH**-0.5, "root_two": 2**0.5, "one": 1.0, "half": 0.5, "tiny": 1e-12}
        for name, number in scalars.items():
            self.constant(name, np.array(number, np.float32))


def build_model(weights: Path) -> ModelProto:
    """Return the float32 model; raises KeyError or ValueError for weights of another architecture."""
    builder = GraphBuilder(read_safetensors(weights))
    builder.fixed()
    value = builder.embed()
    for index in range(LAYERS):
        layer = f"encoder.layer.{index}"
        value = builder.feed_forward(builder.attend(value, layer), layer)
    builder.pool(value)
    graph = helper.make_graph(
        builder.nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["tokens"])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [WIDTH])],
        builder.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def quantize(model: ModelProto, target: Path) -> None:
    """Write the model with int8 weights; products of two computed values stay float."""
    _QUANTIZATION.quantize_dynamic(
        model,
        target,
        per_channel=True,
        weight_type=_QUANTIZATION.QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )


def build(weights: Path, target: Path) -> None:
    """Build the int8 model and put it in place in one step."""
    unfinished = target.with_suffix(f".{os.getpid()}.part")
    try:
        quantize(build_model(weights), unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))

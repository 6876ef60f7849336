"""The trained encoder as an ONNX graph of onnxruntime's fused operators, its weights in 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from training.deep_train import Upper
from training.encoder import Encoder
from training.transformer import Embedding, Layer, layer_from

_FUSED = "com.microsoft"


class Graph:
    """Nodes and weights of one graph; batch 1, so that nothing is padded and nothing masked."""

    def __init__(self, heads: int, epsilon: float) -> None:
        self.heads = heads
        self.epsilon = epsilon
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, values: torch.Tensor) -> str:
        array = values.detach().numpy().astype(np.float32)
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], domain=domain, name=output, **attributes))
        return output

    def layer(self, name: str, layer: Layer, x: str) -> str:
        """One block behind `x`, by fused operators: attention, and twice a residual with its norm."""
        qkv = [self.weight(f"{name}.qkv", layer.qkv.weight.T), self.weight(f"{name}.qkv_bias", layer.qkv.bias)]
        mixed = self.add("Attention", [x, *qkv], f"{name}.mixed", _FUSED, num_heads=self.heads)
        out = self.add("MatMul", [mixed, self.weight(f"{name}.out", layer.out.weight.T)], f"{name}.attended")
        x = self._normed(f"{name}.norm1", out, x, layer.norm1, layer.out.bias)
        up = self.add("MatMul", [x, self.weight(f"{name}.up", layer.up.weight.T)], f"{name}.upped")
        wide = self.add("BiasGelu", [up, self.weight(f"{name}.up_bias", layer.up.bias)], f"{name}.gelu", _FUSED)
        down = self.add("MatMul", [wide, self.weight(f"{name}.down", layer.down.weight.T)], f"{name}.downed")
        return self._normed(f"{name}.norm2", down, x, layer.norm2, layer.down.bias)

    def _normed(self, name: str, x: str, skip: str, norm: torch.nn.LayerNorm, bias: torch.Tensor) -> str:
        inputs = [
            x,
            skip,
            self.weight(f"{name}.g", norm.weight),
            self.weight(f"{name}.b", norm.bias),
            self.weight(f"{name}.bias", bias),
        ]
        return self.add("SkipLayerNormalization", inputs, f"{name}.out", _FUSED, epsilon=self.epsilon)


def build(encoder: Encoder, lower: int, upper: Upper, most_tokens: int) -> onnx.ModelProto:
    """From `vectors` (1, tokens, hidden), the tokens' rows of the table, to `scores` (1, 1 + categories)."""
    graph = Graph(encoder.heads, encoder.epsilon)
    embedding = Embedding(encoder)
    places = graph.weight("places", embedding.places[:most_tokens])
    for name, value in (("zero", [0]), ("one", [1]), ("axis", [0])):
        graph.weights.append(numpy_helper.from_array(np.array(value, dtype=np.int64), name))
    shape = graph.add("Shape", ["vectors"], "shape", start=1, end=2)
    mine = graph.add("Slice", [places, "zero", shape, "axis"], "my_places")
    x = graph.add("Add", ["vectors", mine], "placed")
    x = graph.add(
        "LayerNormalization",
        [x, graph.weight("embedding.g", embedding.norm.weight), graph.weight("embedding.b", embedding.norm.bias)],
        "embedded",
        axis=-1,
        epsilon=encoder.epsilon,
    )
    blocks = [layer_from(encoder, index) for index in range(lower)]
    for index, block in enumerate([*blocks, *upper.blocks]):
        x = graph.layer(f"l{index}", cast(Layer, block), x)
    mean = graph.add("ReduceMean", [x, "one"], "mean", keepdims=0)
    # Kept in full precision: named apart from what is quantized.
    rating = graph.add("MatMul", [x, graph.weight("attend", upper.attend.weight.T)], "head.rating")
    share = graph.add("Softmax", [rating], "share", axis=1)
    weighty = graph.add("ReduceSum", [graph.add("Mul", [x, share], "weighed"), "one"], "weighty", keepdims=0)
    joined = graph.add("Concat", [mean, weighty], "joined", axis=-1)
    scores = graph.add("MatMul", [joined, graph.weight("head", upper.head.weight.T)], "head.scores")
    graph.add("Add", [scores, graph.weight("head_bias", upper.head.bias)], "scores")
    outputs = upper.head.out_features
    made = helper.make_graph(
        graph.nodes,
        "abuse",
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, [1, "tokens", encoder.hidden])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, outputs])],
        graph.weights,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(_FUSED, 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=9, producer_name="customhouse")


def write(model: onnx.ModelProto, path: Path) -> None:
    """In 8 bits with 7 of them used: without VNNI the products of two full bytes would overflow.

    Not so the way down from the feed-forward net: a few of its inputs are so large that 8 bits for all of them moved
    the scores by 0.35 on average, and one verdict in ten. In full precision it costs a tenth more time, and 14 MB.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    full = path.with_suffix(".full.onnx")
    onnx.save(model, full)
    quantize_dynamic(
        full,
        path,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        op_types_to_quantize=["MatMul", "Attention"],
        nodes_to_exclude=[
            node.name
            for node in model.graph.node
            if node.op_type == "MatMul" and node.name.endswith((".downed", "head.rating", "head.scores"))
        ],
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
    full.unlink()


def write_table(encoder: Encoder, size: int, path: Path) -> None:
    """The first `size` rows of the table of tokens, in the four bits it came in."""
    blocks = encoder.tensors["emb.word"].reshape(-1, encoder.hidden // 32)[:size]
    np.savez_compressed(path, nibbles=blocks["nibbles"], scales=blocks["scale"])

"""The model that hls4ml is given: the network as QKeras layers, under names that are legal anywhere.

hls4ml reads Keras models. The network is said in those layers that it takes as they are: weights as
``quantized_bits`` without a scale, sums of two, a quantizer in a layer of its own. So what the owner's model
was made of does not matter, and one that is no Keras model at all has an HLS project, too. hls4ml makes C++
identifiers and names of its own from the layers' names, and takes ``input`` for its own word.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from qkeras import QActivation, QConv2D, QDense, QDepthwiseConv2D

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint, IntArray, to_float
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Layer, Model, Quantizer, Tensor
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import (
    NO_PADDING,
    Add,
    Affine,
    AveragePool2D,
    Concatenate,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Input,
    Lookup,
    MaxPool2D,
    Multiply,
    Node,
    Padding,
    Quantize,
    same_padding,
)
from trigger_ml.firmware.ir.registry import Refused, Registry
from trigger_ml.firmware.names import word
from trigger_ml.models.quantizers import quantizer_of

__all__ = ["KERAS_OF", "Twin", "project_name", "twin_for_hls4ml"]

EXACT_FLOAT32 = 24
"""Bits of a weight that Keras holds."""


def project_name(name: str) -> str:
    """Name of the top function: a C++ identifier that is no word of the language."""
    text = word(name)
    return text if re.fullmatch(r"trigger(_\w+)?", text) else f"trigger_{text}"


@dataclass(frozen=True)
class Twin:
    """A network as a QKeras model.

    Parameters
    ----------
    model : tf_keras.Model
        Layers are called ``n1_stem``, ``n2_stem_q``, ...: the number before the name keeps names apart that
        differ in a character only, also with what hls4ml puts behind them.
    names : dict of str to str
        The layer that has a node's result, by the node's name.
    """

    model: Model
    names: dict[str, str]


@dataclass
class _Builder:
    """The twin while it grows."""

    network: Network
    names: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    weights: list[tuple[Layer, list[IntArray]]] = field(default_factory=list)
    count: int = 0

    def new(self, name: str) -> str:
        self.count += 1
        return f"n{self.count}_{word(name)}"

    def own(self, node: Node) -> str:
        """Name of the layer that has the node's result."""
        self.names[node.name] = self.new(node.name)
        return self.names[node.name]

    def source(self, node: Node) -> Tensor:
        return self.tensors[node.inputs[0]]

    def shape(self, node: Node) -> tuple[int, ...]:
        """Of the node's first input."""
        return self.network.shapes[node.inputs[0]]

    def padded(self, node: Node, padding: Padding) -> Tensor:
        source = self.source(node)
        if padding == NO_PADDING:
            return source
        return tf_keras.layers.ZeroPadding2D(padding, name=self.new(f"{node.name}_pad"))(source)


def _input(twin: _Builder, node: Input) -> Tensor:
    return tf_keras.Input(node.size, name=twin.own(node))


def _quantizer(dtype: FixedPoint, values: IntArray) -> tuple[Quantizer, Quantizer]:
    """Signed quantizer that holds the values, without negative integer bits, and the values."""
    # hls4ml makes all weights signed, and QKeras has no negative integer bits
    width = max(dtype.width + int(not dtype.signed), dtype.fraction + 1)
    return quantizer_of(FixedPoint(True, width, dtype.fraction)), to_float(values, dtype.fraction)


def _affine(twin: _Builder, node: Affine, cls: type[Layer], role: str, x: Tensor, **options: Any) -> Tensor:
    kernel_quantizer, kernel = _quantizer(node.kernel_type, node.kernel)
    bias_quantizer, bias = _quantizer(node.bias_type, node.bias)
    use_bias = bool(node.bias.any())
    layer = cls(
        **options,
        **{f"{role}_quantizer": kernel_quantizer, f"{role}_initializer": "zeros"},
        use_bias=use_bias,
        bias_quantizer=bias_quantizer if use_bias else None,
        name=twin.own(node),
    )
    result = layer(x)
    twin.weights.append((layer, [kernel, bias] if use_bias else [kernel]))
    return result


def _conv2d(twin: _Builder, node: Conv2D) -> Tensor:
    height, width, _, filters = node.kernel.shape
    same = same_padding(twin.shape(node)[:2], (height, width), node.strides)
    options: dict[str, Any] = {
        "kernel_size": (height, width),
        "strides": node.strides,
        "padding": "same" if node.padding == same else "valid",
    }
    x = twin.source(node) if node.padding == same else twin.padded(node, node.padding)
    if node.depthwise:
        return _affine(twin, node, QDepthwiseConv2D, "depthwise", x, **options)
    return _affine(twin, node, QConv2D, "kernel", x, filters=filters, **options)


def _dense(twin: _Builder, node: Dense) -> Tensor:
    return _affine(twin, node, QDense, "kernel", twin.source(node), units=node.kernel.shape[1])


def _quantize(twin: _Builder, node: Quantize) -> Tensor:
    dtype = node.dtype
    # the type itself is set in hls4ml's configuration: QKeras has no negative integer bits
    # and makes one bit a sign
    width = max(dtype.width, dtype.fraction + int(dtype.signed), 2)
    quantizer = quantizer_of(FixedPoint(dtype.signed, width, dtype.fraction))
    return QActivation(quantizer, name=twin.own(node))(twin.source(node))


def _pairwise(kind: type[Layer]) -> Callable[[_Builder, Node], Tensor]:
    """A layer of two inputs for an op of any number of them."""

    def make(twin: _Builder, node: Node) -> Tensor:
        first, *others, last = (twin.tensors[name] for name in node.inputs)
        for other in others:
            first = kind(name=twin.new(f"{node.name}_part"))([first, other])
        return kind(name=twin.own(node))([first, last])

    return make


def _max_pool(twin: _Builder, node: MaxPool2D) -> Tensor:
    return tf_keras.layers.MaxPooling2D(node.window, node.strides, name=twin.own(node))(twin.source(node))


def _average_pool(twin: _Builder, node: AveragePool2D) -> Tensor:
    if math.prod(node.window) != 1 << node.divisor_log2:
        raise MappingError(
            f"layer {node.name} ({node.op})",
            f"it divides {math.prod(node.window)} cells by {1 << node.divisor_log2}, hls4ml by their number",
            "Choose a window of a power of two of cells",
        )
    return tf_keras.layers.AveragePooling2D(node.window, node.strides, name=twin.own(node))(twin.source(node))


def _global_average(twin: _Builder, node: GlobalAveragePool) -> Tensor:
    """Zeros around the map make the number of its cells that by which the sum is divided."""
    height, width = twin.shape(node)[:2]
    places = node.divisor_log2
    rows = (height - 1).bit_length()
    columns = places - rows
    if columns < 0 or 1 << columns < width:
        raise MappingError(
            f"layer {node.name} ({node.op})",
            f"no padding makes 2**{places} cells of {height} x {width}, and hls4ml divides by their number",
            "Pad the map to powers of two with ZeroPadding2D before it",
        )
    x = twin.padded(node, ((0, (1 << rows) - height), (0, (1 << columns) - width)))
    return tf_keras.layers.GlobalAveragePooling2D(name=twin.own(node))(x)


def _flatten(twin: _Builder, node: Flatten) -> Tensor:
    return tf_keras.layers.Flatten(name=twin.own(node))(twin.source(node))


def _global_maximum(twin: _Builder, node: GlobalMaxPool) -> Tensor:
    return tf_keras.layers.GlobalMaxPooling2D(name=twin.own(node))(twin.source(node))


NOT_SAID = Refused("hls4ml has no exact code for it", "Use firmware.rtl, or set firmware.hls: null")

KERAS_OF = Registry[Callable[[_Builder, Any], Tensor]](
    "the model for hls4ml",
    {
        Input: _input,
        Conv2D: _conv2d,
        Dense: _dense,
        Quantize: _quantize,
        Add: _pairwise(tf_keras.layers.Add),
        Concatenate: _pairwise(tf_keras.layers.Concatenate),
        Multiply: NOT_SAID,
        Lookup: NOT_SAID,
        MaxPool2D: _max_pool,
        GlobalMaxPool: _global_maximum,
        AveragePool2D: _average_pool,
        GlobalAveragePool: _global_average,
        Flatten: _flatten,
    },
)
"""From an op to the Keras layers that hls4ml is given for it."""


def twin_for_hls4ml(network: Network) -> Twin:
    """The network as a QKeras model that hls4ml takes.

    Parameters
    ----------
    network : Network

    Returns
    -------
    Twin

    Raises
    ------
    MappingError
        If a layer cannot be said in Keras, naming it.
    """
    twin = _Builder(network)
    for node in network.nodes:
        if isinstance(node, Affine) and max(map(_bits, (node.kernel, node.bias))) > EXACT_FLOAT32:
            raise MappingError(
                f"layer {node.name} ({node.op})",
                f"it has weights of more than {EXACT_FLOAT32} bits, and hls4ml reads them from float32",
                "Use fewer bits for its weights or biases",
            )
        twin.tensors[node.name] = KERAS_OF.of(node)(twin, node)
    outputs = [twin.tensors[name] for name in network.outputs]
    model = tf_keras.Model(
        twin.tensors[network.input.name], outputs[0] if len(outputs) == 1 else outputs, name="network"
    )
    for layer, weights in twin.weights:
        layer.set_weights(weights)
    return Twin(model, twin.names)


def _bits(values: IntArray) -> int:
    """Bits of the largest absolute value, without those that are zero in all."""
    together = int(np.bitwise_or.reduce(np.abs(values).ravel(), initial=0))
    return (together // (together & -together)).bit_length() if together else 0

"""What each kind of Keras layer becomes in the network: one table, and no default.

Every layer either has an exact equivalent or is refused with its name, the reason and the remedy: nothing is
approximated here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trigger_ml.core.fixed_point import FixedPoint, IntArray, Rounding
from trigger_ml.core.keras_types import Layer
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import (
    NO_PADDING,
    NODE_TYPES,
    Add,
    AveragePool2D,
    Concatenate,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    Input,
    MaxPool2D,
    Node,
    Padding,
    Quantize,
    window_shape,
)
from trigger_ml.models.quantizers import integer_weights, quantized_weights, quantizer_type, refuse

__all__ = ["KERAS", "Extraction", "KerasLayers", "Padded"]


@dataclass(frozen=True)
class Padded:
    """A tensor of the model: a node's output with zeros around it that no node represents."""

    name: str
    padding: Padding = NO_PADDING


@dataclass
class Extraction:
    """The network while it grows."""

    input_type: FixedPoint
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Padded] = field(default_factory=dict)
    symmetric: list[str] = field(default_factory=list)

    def network(self, outputs: Sequence[str] = ()) -> Network:
        """The network so far."""
        return Network(tuple(self.nodes), tuple(outputs))

    def plain(self, layer: Layer, source: str) -> str:
        """Node that the model's tensor ``source`` is; padding is refused."""
        tensor = self.tensors[source]
        if tensor.padding != NO_PADDING:
            raise refuse(
                layer,
                "reads a zero-padded tensor, which only convolutions and global pooling can",
                "Move the ZeroPadding2D directly before a convolution or GlobalAveragePooling2D",
            )
        return tensor.name

    def add(self, node: Node) -> None:
        """Add the node that a layer becomes."""
        self.nodes.append(node)
        self.tensors[node.name] = Padded(node.name)

    def alias(self, layer: Layer, source: str) -> None:
        """Let a layer be what it reads."""
        self.tensors[layer.name] = self.tensors[source]


def _input(state: Extraction, layer: Layer, sources: list[str]) -> None:
    shape = tuple(layer.input_shape[0][1:])
    if len(shape) not in (1, 3) or None in shape:
        raise refuse(layer, f"has shape {shape}", "Give it a fixed (height, width, channels) or (features,)")
    state.add(Input(layer.name, (), state.input_type, shape))


def _identity(state: Extraction, layer: Layer, sources: list[str]) -> None:
    """A layer that changes no value in inference."""
    state.alias(layer, sources[0])


def _weights(layer: Layer) -> tuple[IntArray, FixedPoint, IntArray, FixedPoint]:
    """Kernel and bias with their types; zeros where the layer has no bias."""
    kernel, *bias = (
        integer_weights(layer, part.variable, part.quantizer, part.role) for part in quantized_weights(layer)
    )
    if bias:
        return *kernel, *bias[0]
    return *kernel, np.zeros(layer.output_shape[-1], dtype=np.int64), FixedPoint(False, 1, 0)


def _require_linear(layer: Layer) -> None:
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", type(activation).__name__)
    if activation is not None and name != "linear":
        raise refuse(
            layer,
            f"has the activation {name} inside",
            "Put the activation in a QActivation layer of its own after it",
        )


def _require_defaults(layer: Layer, **defaults: object) -> None:
    for option, default in defaults.items():
        value = getattr(layer, option, default)
        if value != default:
            raise refuse(layer, f"has {option}={value!r}", f"Only {option}={default!r} maps to firmware")


def _conv_padding(layer: Layer, size: Sequence[int], before: Padding) -> Padding:
    """Padding of a convolution as TensorFlow does it, plus that of a ZeroPadding2D before it."""
    if layer.padding == "valid":
        return before
    if layer.padding != "same":
        raise refuse(layer, f"has padding={layer.padding!r}", "Use 'same' or 'valid'")
    padding = []
    for axis in range(2):
        n = size[axis] + sum(before[axis])
        stride, kernel = layer.strides[axis], layer.kernel_size[axis]
        total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
        padding.append((before[axis][0] + total // 2, before[axis][1] + total - total // 2))
    return padding[0], padding[1]


def _conv2d(state: Extraction, layer: Layer, sources: list[str]) -> None:
    _require_linear(layer)
    _require_defaults(layer, dilation_rate=(1, 1), groups=1, depth_multiplier=1, data_format="channels_last")
    source = state.tensors[sources[0]]
    padding = _conv_padding(layer, state.network().shapes[source.name], source.padding)
    depthwise = type(layer).__name__ == "QDepthwiseConv2D"
    weights = _weights(layer)
    state.add(Conv2D(layer.name, (source.name,), *weights, tuple(layer.strides), padding, depthwise))


def _dense(state: Extraction, layer: Layer, sources: list[str]) -> None:
    _require_linear(layer)
    source = state.plain(layer, sources[0])
    if len(state.network().shapes[source]) != 1:
        raise refuse(layer, "is applied to a feature map, not to a vector", "Put a Flatten before it")
    state.add(Dense(layer.name, (source,), *_weights(layer)))


def _qactivation(state: Extraction, layer: Layer, sources: list[str]) -> None:
    source = state.plain(layer, sources[0])
    dtype = quantizer_type(layer, layer.quantizer)
    input_node = state.nodes[0]
    assert isinstance(input_node, Input)
    bounds = input_node.bounds([], [])
    if source == input_node.name and dtype.fraction >= bounds.fraction:
        fine = bounds.aligned(dtype.fraction)
        if dtype.contains(int(fine.low.min()), int(fine.high.max())):
            # it changes no input value, so the firmware has no use for it
            state.alias(layer, sources[0])
            return
    state.add(Quantize(layer.name, (source,), dtype))
    if getattr(layer.quantizer, "symmetric", False) and dtype.signed:
        state.symmetric.append(layer.name)


def _activation(state: Extraction, layer: Layer, sources: list[str]) -> None:
    name = layer.activation.__name__
    if name == "linear":
        state.alias(layer, sources[0])
    elif name == "relu":
        _exact_relu(state, layer, sources)
    else:
        raise refuse(
            layer,
            f"{name} has no exact fixed-point equivalent",
            "End the model at the logit (probabilities are computed off-chip); inside it use quantized_relu",
        )


def _relu(state: Extraction, layer: Layer, sources: list[str]) -> None:
    if layer.max_value is not None or layer.negative_slope or layer.threshold:
        raise refuse(layer, "has options set", "Use a plain ReLU, or QActivation(quantized_relu(...))")
    _exact_relu(state, layer, sources)


def _exact_relu(state: Extraction, layer: Layer, sources: list[str]) -> None:
    """A ReLU that loses no bits: conversion to the unsigned type that holds every possible value."""
    source = state.plain(layer, sources[0])
    bounds = state.network().bounds[source]
    dtype = FixedPoint.holding(0, max(int(bounds.high.max()), 0), bounds.fraction)
    state.add(Quantize(layer.name, (source,), dtype, rounding=Rounding.TRN))


def _add(state: Extraction, layer: Layer, sources: list[str]) -> None:
    state.add(Add(layer.name, tuple(state.plain(layer, source) for source in sources)))


def _concatenate(state: Extraction, layer: Layer, sources: list[str]) -> None:
    rank = len(layer.output_shape)
    if layer.axis % rank != rank - 1:
        raise refuse(layer, f"joins along axis {layer.axis}", "Join channels (axis=-1), the last axis")
    state.add(Concatenate(layer.name, tuple(state.plain(layer, source) for source in sources)))


def _zero_padding(state: Extraction, layer: Layer, sources: list[str]) -> None:
    _require_defaults(layer, data_format="channels_last")
    source = state.tensors[sources[0]]
    (top, bottom), (left, right) = layer.padding
    (t, b), (le, r) = source.padding
    state.tensors[layer.name] = Padded(source.name, ((top + t, bottom + b), (left + le, right + r)))


def _power_of_two(layer: Layer, cells: int, remedy: str) -> int:
    if cells & (cells - 1):
        raise refuse(layer, f"averages over {cells} cells, and 1/{cells} is no fixed-point number", remedy)
    return cells.bit_length() - 1


def _pool2d(state: Extraction, layer: Layer, sources: list[str]) -> None:
    _require_defaults(layer, data_format="channels_last")
    source = state.plain(layer, sources[0])
    window, strides = tuple(layer.pool_size), tuple(layer.strides)
    size = state.network().shapes[source][:2]
    if layer.padding == "same" and window_shape(size, window, strides, NO_PADDING) != layer.output_shape[1:3]:
        raise refuse(
            layer,
            f"pads a map of {size[0]} x {size[1]} cells to fit windows of {window[0]} x {window[1]}",
            "Choose sizes that divide evenly, or padding='valid'",
        )
    if type(layer).__name__ == "MaxPooling2D":
        state.add(MaxPool2D(layer.name, (source,), window, strides))
        return
    divisor = _power_of_two(layer, window[0] * window[1], "Choose a window of a power of two of cells")
    state.add(AveragePool2D(layer.name, (source,), window, strides, divisor))


def _global_average(state: Extraction, layer: Layer, sources: list[str]) -> None:
    _require_defaults(layer, data_format="channels_last", keepdims=False)
    source = state.tensors[sources[0]]
    height, width = state.network().shapes[source.name][:2]
    cells = (height + sum(source.padding[0])) * (width + sum(source.padding[1]))
    remedy = "Pad the map to powers of two with ZeroPadding2D before it and scale the next layer's weights"
    state.add(GlobalAveragePool(layer.name, (source.name,), _power_of_two(layer, cells, remedy)))


def _flatten(state: Extraction, layer: Layer, sources: list[str]) -> None:
    source = state.plain(layer, sources[0])
    if len(state.network().shapes[source]) == 1:
        state.alias(layer, sources[0])
    else:
        state.add(Flatten(layer.name, (source,)))


@dataclass(frozen=True)
class KerasLayer:
    """What a kind of layer becomes.

    Parameters
    ----------
    extract : callable
        From the growing network, the layer and the names of those it reads.
    gives : tuple of type[Node]
        Ops that it may add; none for a layer that changes no value.
    """

    extract: Callable[[Extraction, Any, list[str]], None]
    gives: tuple[type[Node], ...] = ()


@dataclass(frozen=True)
class KerasLayers:
    """The table, with what is told of layers that are not in it.

    Parameters
    ----------
    entries : mapping of str to KerasLayer
        By class name.
    remedies : mapping of str to str
        For kinds of layers that are met, but have no equivalent.
    """

    entries: Mapping[str, KerasLayer]
    remedies: Mapping[str, str]

    def add(self, state: Extraction, layer: Layer, sources: Sequence[str]) -> None:
        """Let a layer become nodes.

        Raises
        ------
        MappingError
            If it has no exact equivalent.
        """
        kind = type(layer).__name__
        entry = self.entries.get(kind)
        if entry is None:
            known = f"Known layers: {', '.join(self.entries)}"
            raise refuse(layer, "has no fixed-point equivalent", self.remedies.get(kind, known))
        before = len(state.nodes)
        entry.extract(state, layer, list(sources))
        for node in state.nodes[before:]:
            assert isinstance(node, entry.gives), f"{kind} gives {node.op} without saying so"

    def missing(self, ops: Mapping[str, type[Node]] = NODE_TYPES) -> list[str]:
        """Ops that no layer gives, as sentences that name op and backend."""
        given = {cls for entry in self.entries.values() for cls in entry.gives}
        backend = "Keras extraction has no entry for"
        return [f"{backend} the op {op}" for op, cls in ops.items() if cls not in given]


KERAS = KerasLayers(
    {
        "InputLayer": KerasLayer(_input, (Input,)),
        "QConv2D": KerasLayer(_conv2d, (Conv2D,)),
        "QDepthwiseConv2D": KerasLayer(_conv2d, (Conv2D,)),
        "QDense": KerasLayer(_dense, (Dense,)),
        "QActivation": KerasLayer(_qactivation, (Quantize,)),
        "Activation": KerasLayer(_activation, (Quantize,)),
        "ReLU": KerasLayer(_relu, (Quantize,)),
        "Add": KerasLayer(_add, (Add,)),
        "Concatenate": KerasLayer(_concatenate, (Concatenate,)),
        "ZeroPadding2D": KerasLayer(_zero_padding),
        "MaxPooling2D": KerasLayer(_pool2d, (MaxPool2D,)),
        "AveragePooling2D": KerasLayer(_pool2d, (AveragePool2D,)),
        "GlobalAveragePooling2D": KerasLayer(_global_average, (GlobalAveragePool,)),
        "Flatten": KerasLayer(_flatten, (Flatten,)),
        "Dropout": KerasLayer(_identity),
        "SpatialDropout2D": KerasLayer(_identity),
    },
    {
        "BatchNormalization": "Fold it into the layer before it (compression.fold) and quantize then",
        "QBatchNormalization": "Fold batch normalization into the weights before quantizing",
        "QConv2DBatchnorm": "Fold batch normalization into the weights and use QConv2D",
        "PruneLowMagnitude": "Strip the pruning wrappers first (tfmot.sparsity.keras.strip_pruning)",
        "Conv2D": "Use QConv2D with quantized_bits kernels and biases",
        "Dense": "Use QDense with quantized_bits kernels and biases",
        "Softmax": "End the model at the logit; probabilities are computed off-chip",
    },
)

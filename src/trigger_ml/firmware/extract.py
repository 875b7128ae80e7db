"""From a QKeras model to the fixed-point network.

Every layer either has an exact equivalent in the network or is refused with its name, the reason and the
remedy: nothing is approximated here. Supported are ``QConv2D``, ``QDepthwiseConv2D``, ``QDense``,
``QActivation`` with ``quantized_bits`` or ``quantized_relu``, ``ReLU`` without options, ``Add``,
``MaxPooling2D``, ``AveragePooling2D`` over a power of two of cells, ``GlobalAveragePooling2D`` over a
power of two of cells (reached with ``ZeroPadding2D``, which costs nothing), ``Flatten`` and ``Dropout``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint, IntArray, Rounding
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.ir.network import (
    Add,
    AveragePool2D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    Input,
    MaxPool2D,
    Network,
    Node,
    Quantize,
    window_shape,
)
from trigger_ml.firmware.quantizers import integer_weights, quantizer_type, refuse
from trigger_ml.models.graph import functional

__all__ = ["extract", "layer_sources"]

Padding = tuple[tuple[int, int], tuple[int, int]]
NO_PADDING: Padding = ((0, 0), (0, 0))


@dataclass(frozen=True)
class _Padded:
    """A tensor of the model: a node's output with zeros around it that no node represents."""

    name: str
    padding: Padding = NO_PADDING


@dataclass
class _Extraction:
    """The network while it grows."""

    nodes: list[Node]
    tensors: dict[str, _Padded] = field(default_factory=dict)
    symmetric: list[str] = field(default_factory=list)

    def network(self, outputs: Sequence[str] = ()) -> Network:
        return Network(tuple(self.nodes), tuple(outputs))

    def plain(self, layer: Any, source: str) -> str:
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
        self.nodes.append(node)
        self.tensors[node.name] = _Padded(node.name)

    def alias(self, layer: Any, source: str) -> None:
        self.tensors[layer.name] = self.tensors[source]


def layer_sources(layer: Any) -> list[Any]:
    """Layers whose output a layer reads.

    Raises
    ------
    MappingError
        If the layer is used more than once in the model.
    """
    if len(layer.inbound_nodes) != 1:
        raise refuse(
            layer,
            f"is used {len(layer.inbound_nodes)} times in the model",
            "Give every use a layer of its own (firmware does not share weights)",
        )
    return [parent.layer for parent in layer.inbound_nodes[0].parent_nodes]


def _bias(layer: Any, outputs: int) -> tuple[IntArray, FixedPoint]:
    if not layer.use_bias:
        return np.zeros(outputs, dtype=np.int64), FixedPoint(False, 1, 0)
    return integer_weights(layer, layer.bias, layer.bias_quantizer_internal, "bias")


def _require_linear(layer: Any) -> None:
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", type(activation).__name__)
    if activation is not None and name != "linear":
        raise refuse(
            layer,
            f"has the activation {name} inside",
            "Put the activation in a QActivation layer of its own after it",
        )


def _require_defaults(layer: Any, **defaults: Any) -> None:
    for option, default in defaults.items():
        value = getattr(layer, option, default)
        if value != default:
            raise refuse(layer, f"has {option}={value!r}", f"Only {option}={default!r} maps to firmware")


def _conv_padding(layer: Any, size: Sequence[int], before: Padding) -> Padding:
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


def _conv2d(state: _Extraction, layer: Any, sources: list[str]) -> None:
    _require_linear(layer)
    _require_defaults(layer, dilation_rate=(1, 1), groups=1, depth_multiplier=1, data_format="channels_last")
    source = state.tensors[sources[0]]
    depthwise = type(layer).__name__ == "QDepthwiseConv2D"
    if depthwise:
        kernel, kernel_type = integer_weights(
            layer, layer.depthwise_kernel, layer.depthwise_quantizer_internal, "depthwise"
        )
    else:
        kernel, kernel_type = integer_weights(layer, layer.kernel, layer.kernel_quantizer_internal, "kernel")
    bias, bias_type = _bias(layer, kernel.shape[2] if depthwise else kernel.shape[3])
    padding = _conv_padding(layer, state.network().shapes[source.name], source.padding)
    state.add(
        Conv2D(
            layer.name,
            (source.name,),
            kernel,
            kernel_type,
            bias,
            bias_type,
            strides=tuple(layer.strides),
            padding=padding,
            depthwise=depthwise,
        )
    )


def _dense(state: _Extraction, layer: Any, sources: list[str]) -> None:
    _require_linear(layer)
    source = state.plain(layer, sources[0])
    if len(state.network().shapes[source]) != 1:
        raise refuse(layer, "is applied to a feature map, not to a vector", "Put a Flatten before it")
    kernel, kernel_type = integer_weights(layer, layer.kernel, layer.kernel_quantizer_internal, "kernel")
    bias, bias_type = _bias(layer, kernel.shape[1])
    state.add(Dense(layer.name, (source,), kernel, kernel_type, bias, bias_type))


def _qactivation(state: _Extraction, layer: Any, sources: list[str]) -> None:
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


def _activation(state: _Extraction, layer: Any, sources: list[str]) -> None:
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


def _relu(state: _Extraction, layer: Any, sources: list[str]) -> None:
    if layer.max_value is not None or layer.negative_slope or layer.threshold:
        raise refuse(layer, "has options set", "Use a plain ReLU, or QActivation(quantized_relu(...))")
    _exact_relu(state, layer, sources)


def _exact_relu(state: _Extraction, layer: Any, sources: list[str]) -> None:
    """A ReLU that loses no bits: conversion to the unsigned type that holds every possible value."""
    source = state.plain(layer, sources[0])
    bounds = state.network().bounds[source]
    dtype = FixedPoint.holding(0, max(int(bounds.high.max()), 0), bounds.fraction)
    state.add(Quantize(layer.name, (source,), dtype, rounding=Rounding.TRN))


def _add(state: _Extraction, layer: Any, sources: list[str]) -> None:
    state.add(Add(layer.name, tuple(state.plain(layer, source) for source in sources)))


def _zero_padding(state: _Extraction, layer: Any, sources: list[str]) -> None:
    _require_defaults(layer, data_format="channels_last")
    source = state.tensors[sources[0]]
    (top, bottom), (left, right) = layer.padding
    (t, b), (le, r) = source.padding
    state.tensors[layer.name] = _Padded(source.name, ((top + t, bottom + b), (left + le, right + r)))


def _power_of_two(layer: Any, cells: int, remedy: str) -> int:
    if cells & (cells - 1):
        raise refuse(layer, f"averages over {cells} cells, and 1/{cells} is no fixed-point number", remedy)
    return cells.bit_length() - 1


def _pool2d(state: _Extraction, layer: Any, sources: list[str]) -> None:
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


def _global_average(state: _Extraction, layer: Any, sources: list[str]) -> None:
    _require_defaults(layer, data_format="channels_last", keepdims=False)
    source = state.tensors[sources[0]]
    height, width = state.network().shapes[source.name][:2]
    cells = (height + sum(source.padding[0])) * (width + sum(source.padding[1]))
    remedy = "Pad the map to powers of two with ZeroPadding2D before it and scale the next layer's weights"
    state.add(GlobalAveragePool(layer.name, (source.name,), _power_of_two(layer, cells, remedy)))


def _flatten(state: _Extraction, layer: Any, sources: list[str]) -> None:
    source = state.plain(layer, sources[0])
    if len(state.network().shapes[source]) == 1:
        state.alias(layer, sources[0])
    else:
        state.add(Flatten(layer.name, (source,)))


HANDLERS: dict[str, Callable[[_Extraction, Any, list[str]], None]] = {
    "QConv2D": _conv2d,
    "QDepthwiseConv2D": _conv2d,
    "QDense": _dense,
    "QActivation": _qactivation,
    "Activation": _activation,
    "ReLU": _relu,
    "Add": _add,
    "ZeroPadding2D": _zero_padding,
    "MaxPooling2D": _pool2d,
    "AveragePooling2D": _pool2d,
    "GlobalAveragePooling2D": _global_average,
    "Flatten": _flatten,
    "Dropout": lambda state, layer, sources: state.alias(layer, sources[0]),
    "SpatialDropout2D": lambda state, layer, sources: state.alias(layer, sources[0]),
}

REMEDIES = {
    "BatchNormalization": "Fold it into the layer before it (compression.fold) and quantize then",
    "QBatchNormalization": "Fold batch normalization into the weights before quantizing",
    "QConv2DBatchnorm": "Fold batch normalization into the weights and use QConv2D",
    "PruneLowMagnitude": "Strip the pruning wrappers first (tfmot.sparsity.keras.strip_pruning)",
    "Conv2D": "Use QConv2D with quantized_bits kernels and biases",
    "Dense": "Use QDense with quantized_bits kernels and biases",
    "Functional": "Flatten the nested model: its layers must belong to the outer model",
    "Sequential": "Flatten the nested model: its layers must belong to the outer model",
    "Softmax": "End the model at the logit; probabilities are computed off-chip",
}


def _input_node(model: Any, input_type: FixedPoint) -> Input:
    inputs = [layer for layer in model.layers if type(layer).__name__ == "InputLayer"]
    if len(inputs) != 1:
        raise MappingError(
            f"model {model.name}", f"has {len(inputs)} inputs", "Only models with one image input are mapped"
        )
    shape = tuple(model.input_shape[1:])
    if len(shape) not in (1, 3) or None in shape:
        raise refuse(
            inputs[0], f"has shape {shape}", "Give it a fixed (height, width, channels) or (features,)"
        )
    return Input(inputs[0].name, (), input_type, shape)


def _check(network: Network, model: Any, tensors: Mapping[str, _Padded], symmetric: Sequence[str]) -> None:
    shapes = network.shapes
    for layer in model.layers:
        tensor = tensors[layer.name]
        if tensor.padding == NO_PADDING and shapes[tensor.name] != tuple(layer.output_shape[1:]):
            if type(layer).__name__ == "InputLayer":
                continue
            raise refuse(
                layer,
                f"gives {tuple(layer.output_shape[1:])} in Keras and {shapes[tensor.name]} as a network",
                "Use the layer's default options",
            )
    try:
        bounds = network.bounds
    except OverflowError as error:
        raise MappingError(f"layer {error}", "its exact sum is too wide", "Use fewer bits") from None
    for name in symmetric:
        if int(bounds[name].low.min()) <= network.types[name].minimum:
            raise MappingError(
                f"layer {name} (QActivation)",
                "symmetric=True saturates one step above the smallest integer, which no type here does",
                "Set symmetric=False",
            )


def extract(
    model: Any,
    *,
    input_type: FixedPoint,
    outputs: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Network:
    """Extract the fixed-point network of a QKeras model.

    Parameters
    ----------
    model : tf_keras.Model
        Functional or sequential, of the layers named in the module's description.
    input_type : FixedPoint
        Type of the input integers; the model's float input is ``n * 2**-fraction``.
    outputs : sequence of str, optional
        Names of the layers whose results leave the firmware; default: the model's outputs.
    metadata : mapping, optional
        JSON values stored in the network.

    Returns
    -------
    Network
        With one node for each layer, named as the layer. Layers that change no value (an input quantizer
        of the input's own type, dropout) and zero padding have no node.

    Raises
    ------
    MappingError
        Naming the layer that has no exact equivalent, the reason and the remedy.
    """
    if not isinstance(model, tf_keras.Model) or not hasattr(model, "inbound_nodes"):
        raise MappingError(
            f"{type(model).__name__}", "is no Keras 2 model", "Load it with trigger_ml's own functions"
        )
    model = functional(model)
    state = _Extraction([_input_node(model, input_type)])
    state.tensors[state.nodes[0].name] = _Padded(state.nodes[0].name)
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "InputLayer":
            continue
        handler = HANDLERS.get(kind)
        if handler is None:
            known = f"Known layers: {', '.join(HANDLERS)}"
            raise refuse(layer, "has no fixed-point equivalent", REMEDIES.get(kind, known))
        handler(state, layer, [source.name for source in layer_sources(layer)])
    names = outputs if outputs is not None else model.output_names
    if unknown := sorted(set(names) - set(state.tensors)):
        raise MappingError(f"output {unknown[0]}", "is no layer of the model", "Check the name")
    final = tuple(dict.fromkeys(state.tensors[name].name for name in names))
    network = Network(tuple(state.nodes), final, dict(metadata or {}))
    _check(network, model, state.tensors, state.symmetric)
    return network

"""What each kind of Keras layer becomes in the network: one table, and no default.

Every layer either has an exact equivalent or is refused with its name, the reason and the remedy: nothing is
approximated here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qkeras import QDepthwiseConv2D

from trigger_ml.core.fixed_point import FixedPoint, IntArray
from trigger_ml.core.keras_types import Layer
from trigger_ml.firmware.activations import ADDED
from trigger_ml.firmware.extraction import Extraction, Padded
from trigger_ml.firmware.functions import (
    OFF_CHIP,
    activation,
    behind,
    curve,
    inside,
    multiply,
    relabel,
    relu,
    scaler,
)
from trigger_ml.firmware.ir.ops import (
    NODE_TYPES,
    Add,
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
from trigger_ml.firmware.pooling import average, global_average, global_maximum, maximum, pair
from trigger_ml.models.layers import IDENTITY
from trigger_ml.models.quantized import integer_weights, quantized_weights
from trigger_ml.models.quantizers import fixed_point_of, refuse

__all__ = ["KERAS", "KerasLayers"]


def _input(state: Extraction, layer: Layer, sources: list[str]) -> None:
    shape = tuple(layer.input_shape[0][1:])
    if len(shape) not in (1, 2, 3) or None in shape:
        raise refuse(layer, f"has shape {shape}", "Give it a fixed (height, width, channels) or (features,)")
    # a series is a map of one row
    size = shape if len(shape) != 2 else (1, *shape)
    state.add(Input(layer.name, (), state.input_type, size))


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


def _activated(state: Extraction, layer: Layer, make: Callable[[str], Node]) -> None:
    """A layer's sums, and the activation that it has inside."""
    function = getattr(layer, "activation", None)
    if function is None or getattr(function, "__name__", "") == "linear":
        state.add(make(layer.name))
        return
    sums = make(f"{layer.name}/sum")
    state.add(sums)
    inside(state, layer, function, sums.name)


def _require_defaults(layer: Layer, **defaults: object) -> None:
    for option, default in defaults.items():
        value = getattr(layer, option, default)
        if value != default:
            raise refuse(layer, f"has {option}={value!r}", f"Only {option}={default!r} maps to firmware")


def _conv_padding(layer: Layer, size: Sequence[int], window: tuple[int, int], before: Padding) -> Padding:
    """Padding of a convolution as TensorFlow does it, plus that of a zero padding before it."""
    (top, bottom), (left, right) = before
    if layer.padding == "valid":
        return before
    if layer.padding == "causal" and size[0] == 1:
        return before[0], (left + window[1] - 1, right)
    if layer.padding != "same":
        raise refuse(layer, f"has padding={layer.padding!r}", "Use 'same' or 'valid'")
    padded = size[0] + top + bottom, size[1] + left + right
    rows, columns = same_padding(padded, window, pair(layer.strides))
    return (top + rows[0], bottom + rows[1]), (left + columns[0], right + columns[1])


def _conv2d(state: Extraction, layer: Layer, sources: list[str]) -> None:
    _require_defaults(layer, groups=1, data_format="channels_last")
    kernel, kernel_type, bias, bias_type = _weights(layer)
    types = kernel_type, bias, bias_type
    if kernel.ndim == 3:
        kernel = kernel[np.newaxis]
    depthwise = isinstance(layer, QDepthwiseConv2D)
    if depthwise and kernel.shape[3] > 1:
        kernel, depthwise = _separate(kernel), False
    kernel = _dilated(kernel, pair(layer.dilation_rate))
    source = state.settled(state.tensors[sources[0]])
    shape, window, strides = state.shape(source.name), (kernel.shape[0], kernel.shape[1]), pair(layer.strides)
    if len(shape) == 1:
        # a vector, in Keras a map of one position
        if window != (1, 1) or depthwise:
            raise refuse(
                layer, "slides a window over a single position", "Use a 1 x 1 convolution, or a Dense"
            )
        vector = state.plain(layer, sources[0])
        _activated(state, layer, lambda name: Dense(name, (vector,), kernel[0, 0], *types))
        return
    padding = _conv_padding(layer, shape, window, source.padding)
    _activated(
        state,
        layer,
        lambda name: Conv2D(name, (source.name,), kernel, *types, strides, padding, depthwise),
    )


def _separate(kernel: IntArray) -> IntArray:
    """A depthwise kernel with several outputs for each channel, as an ordinary one."""
    height, width, channels, each = kernel.shape
    full = np.zeros((height, width, channels, channels, each), dtype=np.int64)
    index = np.arange(channels)
    full[:, :, index, index] = kernel
    return full.reshape(height, width, channels, channels * each)


def _dilated(kernel: IntArray, rate: tuple[int, int]) -> IntArray:
    """A kernel with zeros between its cells, which cost nothing."""
    if rate == (1, 1):
        return kernel
    height, width = ((n - 1) * r + 1 for n, r in zip(kernel.shape, rate, strict=False))
    full = np.zeros((height, width, *kernel.shape[2:]), dtype=np.int64)
    full[:: rate[0], :: rate[1]] = kernel
    return full


def _dense(state: Extraction, layer: Layer, sources: list[str]) -> None:
    source = state.plain(layer, sources[0])
    kernel, kernel_type, bias, bias_type = _weights(layer)
    types = kernel_type, bias, bias_type
    if len(state.shape(source)) == 1:
        _activated(state, layer, lambda name: Dense(name, (source,), kernel, *types))
    else:
        # Keras applies it to each position of a map
        pointwise = kernel[np.newaxis, np.newaxis]
        _activated(state, layer, lambda name: Conv2D(name, (source,), pointwise, *types))


def _qactivation(state: Extraction, layer: Layer, sources: list[str]) -> None:
    tensor, quantizer = state.unpadded(layer, sources[0]), layer.quantizer
    dtype = fixed_point_of(quantizer)
    input_node = state.nodes[0]
    assert isinstance(input_node, Input)
    bounds = input_node.bounds([], [])
    direct = tensor.name == input_node.name and not tensor.curves
    if direct and dtype is not None and dtype.fraction >= bounds.fraction:
        fine = bounds.aligned(dtype.fraction)
        lowest = int(fine.low.min()) - int(bool(getattr(quantizer, "symmetric", False)) and dtype.signed)
        if dtype.contains(lowest, int(fine.high.max())):
            # it changes no input value, so the firmware has no use for it
            state.alias(layer, sources[0])
            return
    behind(state, layer, quantizer, tensor)


def _add(state: Extraction, layer: Layer, sources: list[str]) -> None:
    state.add(Add(layer.name, tuple(state.plain(layer, source) for source in sources)))


def _concatenate(state: Extraction, layer: Layer, sources: list[str]) -> None:
    rank = len(layer.output_shape)
    if layer.axis % rank != rank - 1:
        raise refuse(layer, f"joins along axis {layer.axis}", "Join channels (axis=-1), the last axis")
    state.add(Concatenate(layer.name, tuple(state.plain(layer, source) for source in sources)))


def _zero_padding(state: Extraction, layer: Layer, sources: list[str]) -> None:
    _require_defaults(layer, data_format="channels_last")
    source = state.settled(state.tensors[sources[0]])
    (top, bottom), (left, right) = layer.padding if len(layer.output_shape) == 4 else ((0, 0), layer.padding)
    (t, b), (le, r) = source.padding
    state.tensors[layer.name] = Padded(source.name, ((top + t, bottom + b), (left + le, right + r)))


def _flatten(state: Extraction, layer: Layer, sources: list[str]) -> None:
    source = state.plain(layer, sources[0])
    if len(state.shape(source)) == 1:
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
            # a table may come of a function that stands before the layer
            assert isinstance(node, (*entry.gives, Lookup)), f"{kind} gives {node.op} without saying so"

    def missing(self, ops: Mapping[str, type[Node]] = NODE_TYPES) -> list[str]:
        """Ops that no layer gives, as sentences that name op and backend."""
        given = {cls for entry in self.entries.values() for cls in entry.gives}
        backend = "Keras extraction has no entry for"
        return [f"{backend} the op {op}" for op, cls in ops.items() if cls not in given]


_CONVOLUTION = KerasLayer(_conv2d, (Conv2D, Dense, *ADDED))
_CURVE = KerasLayer(curve)
_SCALER = KerasLayer(scaler)
_AVERAGE = KerasLayer(average, (AveragePool2D, Conv2D))
_MAXIMUM = KerasLayer(maximum, (MaxPool2D,))
_GLOBAL_AVERAGE = KerasLayer(global_average, (GlobalAveragePool,))
_GLOBAL_MAXIMUM = KerasLayer(global_maximum, (GlobalMaxPool,))
_NOTHING = KerasLayer(_identity)

KERAS = KerasLayers(
    {
        "InputLayer": KerasLayer(_input, (Input,)),
        "QConv2D": _CONVOLUTION,
        "QConv1D": _CONVOLUTION,
        "QConv2DBatchnorm": _CONVOLUTION,
        "QDepthwiseConv2D": _CONVOLUTION,
        "QDepthwiseConv2DBatchnorm": _CONVOLUTION,
        "QDense": KerasLayer(_dense, (Dense, Conv2D, *ADDED)),
        "QActivation": KerasLayer(_qactivation, (Lookup, *ADDED)),
        "Activation": KerasLayer(activation, (Quantize,)),
        "ReLU": KerasLayer(relu, (Quantize,)),
        "LeakyReLU": _CURVE,
        "PReLU": _CURVE,
        "ELU": _CURVE,
        "ThresholdedReLU": _CURVE,
        "Rescaling": _SCALER,
        "Normalization": _SCALER,
        "BatchNormalization": _SCALER,
        "QBatchNormalization": _SCALER,
        "Add": KerasLayer(_add, (Add,)),
        "Multiply": KerasLayer(multiply, (Multiply,)),
        "Concatenate": KerasLayer(_concatenate, (Concatenate,)),
        "ZeroPadding2D": KerasLayer(_zero_padding),
        "ZeroPadding1D": KerasLayer(_zero_padding),
        "MaxPooling2D": _MAXIMUM,
        "MaxPooling1D": _MAXIMUM,
        "AveragePooling2D": _AVERAGE,
        "AveragePooling1D": _AVERAGE,
        "GlobalAveragePooling2D": _GLOBAL_AVERAGE,
        "GlobalAveragePooling1D": _GLOBAL_AVERAGE,
        "GlobalMaxPooling2D": _GLOBAL_MAXIMUM,
        "GlobalMaxPooling1D": _GLOBAL_MAXIMUM,
        "Flatten": KerasLayer(_flatten, (Flatten,)),
        "Reshape": KerasLayer(relabel, (Flatten,)),
        "Permute": KerasLayer(relabel, (Flatten,)),
        **dict.fromkeys(IDENTITY, _NOTHING),
    },
    {
        "PruneLowMagnitude": "Strip the pruning wrappers first (tfmot.sparsity.keras.strip_pruning)",
        "Conv2D": "Use QConv2D with quantized_bits kernels and biases",
        "Dense": "Use QDense with quantized_bits kernels and biases",
        "Softmax": OFF_CHIP,
    },
)

"""What Keras' pooling layers become in the network."""

import math
from typing import Any

import numpy as np

from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras_types import Layer
from trigger_ml.firmware.curves import Curve
from trigger_ml.firmware.extraction import Extraction, Padded
from trigger_ml.firmware.ir.ops import (
    NO_PADDING,
    AveragePool2D,
    Conv2D,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool2D,
    Padding,
    same_padding,
)
from trigger_ml.models.quantizers import refuse

__all__ = ["average", "global_average", "global_maximum", "maximum", "pair"]


def pair(values: Any, other: int = 1) -> tuple[int, int]:
    """Rows and columns of a setting of a layer of two dimensions, or of one, whose map has one row."""
    found = tuple(int(v) for v in (values if isinstance(values, (tuple, list)) else (values,)))
    return (found[0], found[1]) if len(found) == 2 else (other, found[0])


def _window(
    state: Extraction, layer: Layer, source: str
) -> tuple[Padded, tuple[int, int], tuple[int, int], Padding]:
    """The pooled tensor, size and strides of the window, and what the layer itself puts around the map."""
    if layer.data_format != "channels_last":
        raise refuse(layer, f"has data_format={layer.data_format!r}", "Use channels_last")
    tensor = state.settled(state.tensors[source])
    window, strides = pair(layer.pool_size), pair(layer.strides)
    around: Padding = NO_PADDING
    if layer.padding == "same":
        size = [n + sum(p) for n, p in zip(state.shape(tensor.name)[:2], tensor.padding, strict=True)]
        around = same_padding(tuple(size), window, strides)
    return tensor, window, strides, around


def maximum(state: Extraction, layer: Layer, sources: list[str]) -> None:
    """A maximum leaves out what 'same' puts around a map; zeros of a layer before it count."""
    tensor, window, strides, around = _window(state, layer, sources[0])
    if tensor.padding != NO_PADDING and around != NO_PADDING:
        raise refuse(layer, "pads a map that is padded with zeros", "Pad once: padding='valid'")
    padding = tensor.padding if around == NO_PADDING else around
    if any(max(before, after) >= k for (before, after), k in zip(padding, window, strict=True)):
        raise refuse(layer, "has windows that lie wholly outside the map", "Pad by less than the window")
    # among values that are none of them negative, a zero is never the maximum alone
    zeros = tensor.padding != NO_PADDING and int(state.bounds(tensor.name).low.min()) < 0
    state.add(MaxPool2D(layer.name, (tensor.name,), window, strides, padding, zeros))


def average(state: Extraction, layer: Layer, sources: list[str]) -> None:
    """A sum divided by a power of two is exact; any other is one of the functions of the sum."""
    tensor, window, strides, around = _window(state, layer, sources[0])
    cells = math.prod(window)
    if around != NO_PADDING:
        size = state.shape(tensor.name)
        raise refuse(
            layer,
            f"pads a map of {size[0]} x {size[1]} cells to fit windows of {window[0]} x {window[1]}, "
            "and leaves the padding out of its averages",
            "Choose sizes that divide evenly, or padding='valid'",
        )
    exact = cells.bit_count() == 1
    divisor = cells.bit_length() - 1 if exact else 0
    name = layer.name if exact else f"{layer.name}_sum"
    if tensor.padding == NO_PADDING:
        state.add(AveragePool2D(name, (tensor.name,), window, strides, divisor))
    else:
        channels = state.shape(tensor.name)[2]
        ones, none = np.ones((*window, channels, 1), dtype=np.int64), np.zeros(channels, dtype=np.int64)
        types = FixedPoint(False, 1, divisor), none, FixedPoint(False, 1, 0)
        state.add(Conv2D(name, (tensor.name,), ones, *types, strides, tensor.padding, depthwise=True))
    if not exact:
        _divided(state, layer, name, cells)


def _divided(state: Extraction, layer: Layer, name: str, cells: int) -> None:
    """Let a layer be a node's sums, divided as TensorFlow does it: in float32."""
    divisor = np.float32(cells)
    line = np.asarray(1 / cells), np.asarray(0.0)
    state.tensors[layer.name] = Padded(name, curves=(Curve(layer, lambda x: x / divisor, line),))


def global_average(state: Extraction, layer: Layer, sources: list[str]) -> None:
    """The average over a map, zeros around it included."""
    if layer.data_format != "channels_last":
        raise refuse(layer, f"has data_format={layer.data_format!r}", "Use channels_last")
    tensor = state.settled(state.tensors[sources[0]])
    height, width = state.shape(tensor.name)[:2]
    cells = (height + sum(tensor.padding[0])) * (width + sum(tensor.padding[1]))
    if cells.bit_count() == 1:
        state.add(GlobalAveragePool(layer.name, (tensor.name,), cells.bit_length() - 1))
        return
    state.add(GlobalAveragePool(f"{layer.name}_sum", (tensor.name,), 0))
    _divided(state, layer, f"{layer.name}_sum", cells)


def global_maximum(state: Extraction, layer: Layer, sources: list[str]) -> None:
    """The maximum over a map."""
    if layer.data_format != "channels_last":
        raise refuse(layer, f"has data_format={layer.data_format!r}", "Use channels_last")
    tensor = state.settled(state.tensors[sources[0]])
    if tensor.padding != NO_PADDING:
        raise refuse(
            layer, "takes the maximum of a map and zeros around it", "Remove the zero padding before it"
        )
    state.add(GlobalMaxPool(layer.name, (tensor.name,)))

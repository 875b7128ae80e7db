"""What Keras' functions of numbers, products and relabellings become in the network."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import FixedPoint, Rounding
from trigger_ml.core.keras_types import Layer, Quantizer, Tensor
from trigger_ml.firmware.activations import direct, quantize, require_definite
from trigger_ml.firmware.curves import Curve, curve_of, exact_table, quantized_curve
from trigger_ml.firmware.extraction import Extraction, Padded
from trigger_ml.firmware.ir.ops import Flatten, Multiply, Quantize
from trigger_ml.models.front import scale_and_offset
from trigger_ml.models.quantizers import fixed_point_of, refuse

__all__ = ["OFF_CHIP", "activation", "behind", "curve", "inside", "multiply", "relabel", "relu", "scaler"]

OFF_CHIP = "End the model at the logit: probabilities are computed off-chip"


def behind(state: Extraction, layer: Layer, quantizer: Quantizer, tensor: Padded) -> None:
    """A quantizer behind a tensor: conversions and exact sums, or a table of it and of what stands before."""
    if not tensor.curves and direct(quantizer):
        quantize(state, layer, quantizer, tensor.name, layer.name)
        return
    require_definite(layer, quantizer)
    dtype, numbers = fixed_point_of(quantizer), state.numbers(tensor)
    if dtype is None:
        state.add(exact_table((*tensor.curves, Curve(layer, quantizer)), numbers))
        return
    for node in quantized_curve(tensor.curves, numbers, layer, quantizer, dtype):
        state.add(node)


def inside(state: Extraction, layer: Layer, function: Callable[[Tensor], Tensor], source: str) -> None:
    """The activation that a layer has inside, behind its sums."""
    name = getattr(function, "__name__", "")
    if hasattr(function, "get_config"):
        behind(state, layer, function, Padded(source))
    elif name == "softmax":
        raise refuse(layer, "softmax is no function of one number", OFF_CHIP)
    elif name == "relu":
        _positive(state, layer, source)
    else:
        curve = Curve(layer, lambda x: np.asarray(function(x)))
        state.tensors[layer.name] = Padded(source, curves=(curve,))


def activation(state: Extraction, layer: Layer, sources: list[str]) -> None:
    """An activation of Keras; one that is no ReLU waits for the quantizer behind it."""
    name = layer.activation.__name__
    if name == "linear":
        state.alias(layer, sources[0])
    elif name == "relu":
        _exact_relu(state, layer, sources)
    elif name == "softmax":
        raise refuse(layer, "softmax is no function of one number", OFF_CHIP)
    else:
        state.defer(layer, sources[0], curve_of(layer))


def curve(state: Extraction, layer: Layer, sources: list[str]) -> None:
    """A layer whose every value is a function of one number."""
    state.defer(layer, sources[0], curve_of(layer))


def relu(state: Extraction, layer: Layer, sources: list[str]) -> None:
    """A ReLU; one with a limit, a slope or a threshold is any function."""
    if layer.max_value is not None or layer.negative_slope or layer.threshold:
        curve(state, layer, sources)
    else:
        _exact_relu(state, layer, sources)


def scaler(state: Extraction, layer: Layer, sources: list[str]) -> None:
    """One factor and one summand for each channel."""
    state.defer(layer, sources[0], replace(curve_of(layer), line=_line_of(layer)))


def _line_of(layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if type(layer).__name__ != "QBatchNormalization":
        return scale_and_offset(layer)

    def quantized(values: Tensor, quantizer: Quantizer) -> NDArray[np.float64]:
        return np.asarray(values if quantizer is None else quantizer(values), dtype=np.float64)

    variance = quantized(layer.moving_variance, layer.variance_quantizer_internal)
    mean = quantized(layer.moving_mean, layer.mean_quantizer_internal)
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * quantized(layer.gamma, layer.gamma_quantizer_internal)
    beta = quantized(layer.beta, layer.beta_quantizer_internal) if layer.center else 0.0
    return scale, beta - mean * scale


def multiply(state: Extraction, layer: Layer, sources: list[str]) -> None:
    """Products of two tensors, of several pair by pair."""
    names = [state.plain(layer, source) for source in sources]
    if len(set(names)) != len(names):
        raise refuse(layer, "multiplies a tensor with itself", "Use an Activation layer of that function")
    last = names[0]
    for number, name in enumerate(names[1:], start=2):
        # the larger one first, whose shape the product has
        factors = sorted((last, name), key=lambda factor: -math.prod(state.shape(factor)))
        last = layer.name if number == len(names) else f"{layer.name}_{number}"
        node = Multiply(last, tuple(factors))
        try:
            node.shape([state.shape(factor) for factor in factors])
        except ValueError:
            shapes = " with ".join(" x ".join(map(str, state.shape(factor))) for factor in factors)
            raise refuse(
                layer,
                f"multiplies {shapes}",
                "Multiply maps of one shape, or a map with a vector of its channels",
            ) from None
        state.add(node)


def relabel(state: Extraction, layer: Layer, sources: list[str]) -> None:
    """A layer that only says differently what is where."""
    source, kind = state.unpadded(layer, sources[0]), type(layer).__name__
    before, after = tuple(layer.input_shape[1:]), tuple(layer.output_shape[1:])
    if kind == "Permute":
        moved = [axis for axis in layer.dims if before[axis - 1] != 1]
        if moved != sorted(moved):
            raise refuse(
                layer,
                "puts values in another order",
                "Build the model for the order in which its input comes",
            )
    shape = state.shape(source.name)
    if _without_ones(after) == _without_ones(shape):
        state.alias(layer, sources[0])
    elif source.name == state.nodes[0].name and len(state.nodes) == 1 and len(after) == 3 and len(shape) == 1:
        # the input is told in another shape; its integers are in the same order
        state.nodes[0] = replace(state.nodes[0], size=after)  # type: ignore[call-arg]
        state.alias(layer, sources[0])
    elif len(_without_ones(after)) == 1 and len(shape) == 3:
        state.add(Flatten(layer.name, (state.plain(layer, sources[0]),)))
    else:
        raise refuse(
            layer,
            f"makes {after} of {before}",
            "Reshape a map to a vector of all its values, or a vector to a map of one position",
        )


def _without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _exact_relu(state: Extraction, layer: Layer, sources: list[str]) -> None:
    _positive(state, layer, state.plain(layer, sources[0]))


def _positive(state: Extraction, layer: Layer, source: str) -> None:
    """A ReLU that loses no bits: conversion to the unsigned type that holds every possible value."""
    bounds = state.bounds(source)
    dtype = FixedPoint.holding(0, max(int(bounds.high.max()), 0), bounds.fraction)
    state.add(Quantize(layer.name, (source,), dtype, rounding=Rounding.TRN))

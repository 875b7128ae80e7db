"""The weights of QKeras layers as integers: what its own quantizers give at inference, and nothing rounded.

A quantizer's values are whole multiples of a step, one for all weights, for each channel or for each weight.
Where the steps are powers of two, or small multiples of one, the weights are integers of one fixed-point
type: a scale of its own for a channel makes that type wider, and costs nothing else.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qkeras import (
    QConv1D,
    QConv2D,
    QConv2DBatchnorm,
    QDense,
    QDepthwiseConv2D,
    QDepthwiseConv2DBatchnorm,
)

from trigger_ml.core.fixed_point import MAX_WIDTH, FixedPoint, IntArray
from trigger_ml.core.keras_types import Layer, Quantizer, Tensor
from trigger_ml.models.quantizers import inexact, refuse

__all__ = ["QuantizedWeights", "integer_weights", "quantized_weights", "short", "weight_values"]

SCALE_BITS = 12
"""Bits of a scale, without the power of two in it, up to which all its products are exact."""
# how far, relative to what they are made of, float32 may leave QKeras' values beside a multiple of the step
_NOISE = 2.0**-20
_BITS = {"quantized_bits", "quantized_hswish"}
_SIGNS = {"ternary", "stochastic_ternary", "binary", "stochastic_binary"}
_POWERS = {"quantized_po2", "quantized_relu_po2"}


@dataclass(frozen=True)
class QuantizedWeights:
    """Weights of a QKeras layer.

    Parameters
    ----------
    role : str
        ``kernel``, ``depthwise`` or ``bias``: what QKeras puts before ``_quantizer``.
    variable : tensorflow variable or tensor
        Float weights, with the layer's own batch normalization folded as the layer does at inference.
    quantizer : QKeras quantizer or None
        None where the layer leaves them unquantized.
    """

    role: str
    variable: Tensor
    quantizer: Quantizer


def quantized_weights(layer: Layer) -> tuple[QuantizedWeights, ...]:
    """Kernel, and bias where there is one, of a QKeras layer with weights; empty for any other layer."""
    if not isinstance(layer, (QConv1D, QConv2D, QDense, QDepthwiseConv2D)):
        return ()
    if isinstance(layer, (QConv2DBatchnorm, QDepthwiseConv2DBatchnorm)):
        kernel, bias = layer.get_folded_weights()
    else:
        kernel = layer.depthwise_kernel if isinstance(layer, QDepthwiseConv2D) else layer.kernel
        bias = layer.bias if layer.use_bias else None
    role = "depthwise" if isinstance(layer, QDepthwiseConv2D) else "kernel"
    weights = QuantizedWeights(role, kernel, getattr(layer, f"{role}_quantizer_internal"))
    if bias is None:
        return (weights,)
    return weights, QuantizedWeights("bias", bias, layer.bias_quantizer_internal)


def weight_values(quantizer: Quantizer, variable: Tensor) -> NDArray[np.float64]:
    """What a quantizer makes of weights, with the noise of QKeras' float32."""
    return np.asarray(quantizer(variable), dtype=np.float64)


def integer_weights(
    layer: Layer, variable: Tensor, quantizer: Quantizer, role: str
) -> tuple[IntArray, FixedPoint]:
    """Quantized weights as integers, and their type.

    Parameters
    ----------
    layer : keras layer
        Named in errors.
    variable : tensorflow variable or tensor
        The layer's float weights.
    quantizer : QKeras quantizer or None
    role : str
        Name of the weights.

    Raises
    ------
    MappingError
        If the weights are not quantized, or their values are no fixed-point numbers.
    """
    floats = np.asarray(variable, dtype=np.float64)
    if not np.isfinite(floats).all():
        raise refuse(layer, f"its {role} holds NaN or infinity", "Check the weights, and train it again")
    if quantizer is None:
        if not floats.any():
            # zeros are exact in any type
            return np.zeros(floats.shape, dtype=np.int64), FixedPoint(False, 1, 0)
        raise refuse(
            layer, f"its {role} is not quantized", f"Give the layer a {role}_quantizer=quantized_bits(...)"
        )
    if reason := inexact(quantizer, role):
        raise refuse(layer, *reason)
    try:
        values = weight_values(quantizer, variable)
    except Exception as error:
        why = f"QKeras itself fails to evaluate its {role} quantizer ({type(error).__name__})"
        raise refuse(layer, why, "Use quantized_bits(bits, integer, alpha=1)") from None
    if not np.isfinite(values).all():
        why = f"its {role} quantizer {type(quantizer).__name__} gives NaN or infinity for some weights"
        raise refuse(layer, why, "Use more bits, or alpha=1")
    steps = _steps(quantizer, values)
    if steps is None:
        why = f"its {role} quantizer is {_name(quantizer)}, whose values are no fixed-point numbers"
        raise refuse(layer, why, "Use quantized_bits(bits, integer, alpha=1)")
    steps = np.broadcast_to(np.where(steps == 0, 1.0, np.abs(steps)), values.shape)
    counts = np.rint(values / steps)
    noise = _NOISE * np.maximum(np.maximum(np.abs(values), np.abs(floats)), steps)
    if (np.abs(values - counts * steps) > noise).any():
        why = f"its {role} quantizer {_name(quantizer)} gives values beside its own steps"
        raise refuse(layer, why, "Use quantized_bits(bits, integer, alpha=1)")
    return _integers(layer, quantizer, role, counts, steps)


def _name(quantizer: Quantizer) -> str:
    return str(getattr(quantizer, "__name__", type(quantizer).__name__))


def _steps(quantizer: Quantizer, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """What a quantizer's values, just computed, are whole multiples of; None where there is no such."""
    kind = type(quantizer).__name__
    bits = int(getattr(quantizer, "bits", 1))
    if kind in _SIGNS:
        return _scale(quantizer)
    if kind in _BITS:
        keep = int(bool(quantizer.keep_negative))
        # one bit is a sign: QKeras makes it binary, without the integer bits
        binary = bits == keep and not isinstance(quantizer.alpha, str)
        return _scale(quantizer) * (1.0 if binary else 2.0 ** (int(quantizer.integer) - bits + keep))
    if kind in _POWERS:
        exponents = np.rint(np.log2(np.maximum(np.abs(values), np.finfo(np.float32).tiny)))
        return np.asarray(2.0**exponents)
    if kind == "quantized_relu":
        return np.asarray(2.0 ** (int(quantizer.integer) - bits + int(quantizer.negative_slope != 0)))
    if kind == "quantized_tanh":
        return np.asarray(2.0 ** (1 - bits))
    if kind == "quantized_sigmoid":
        return np.asarray(2.0**-bits)
    return None


def _scale(quantizer: Quantizer) -> NDArray[np.float64]:
    scale = np.asarray(1.0 if quantizer.scale is None else quantizer.scale, dtype=np.float64)
    if isinstance(quantizer.alpha, str) and quantizer.alpha == "auto_po2":
        # a power of two but for what float32's logarithm and power leave beside it
        return np.asarray(2.0 ** np.rint(np.log2(np.maximum(scale, np.finfo(np.float32).tiny))))
    return scale


def _integers(
    layer: Layer, quantizer: Quantizer, role: str, counts: NDArray[np.float64], steps: NDArray[np.float64]
) -> tuple[IntArray, FixedPoint]:
    """Multiples of steps as integers of one type."""
    factors, exponents = _odd(steps)
    used = counts != 0
    sizes = np.where(used, factors, 0)
    if not short(steps[used]):
        where = np.unravel_index(int(np.argmax(sizes)), sizes.shape)
        alpha = getattr(quantizer, "alpha", None)
        said = f"alpha={alpha!r}" if isinstance(alpha, (str, float, int)) else "its alpha"
        raise refuse(
            layer,
            f"its {role} is scaled by {steps[where]:.6g} per step ({said}), which is no power of two",
            "Set alpha='auto_po2' (or 1, or a multiple of a power of two) and train on for some epochs",
        )
    last = int(exponents[used].min() if used.any() else exponents.min(initial=0))
    span = int((exponents[used] - last).max(initial=0))
    if span + 2 * SCALE_BITS >= MAX_WIDTH:
        raise refuse(
            layer,
            f"its {role} has weights of {span} powers of two between the smallest and the largest",
            "Use fewer bits for the exponent (quantized_po2), or limit it with max_value",
        )
    places = np.where(used, exponents - last, 0)
    integers = (counts * factors).astype(np.int64) << places.astype(np.int64)
    low, high = (int(f(initial=0)) for f in (integers.min, integers.max))
    dtype = FixedPoint.holding(low, high, -last)
    own = _declared(quantizer, -last)
    if own is not None and own.contains(low, high):
        dtype = own
    return integers, dtype


def _odd(steps: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Steps as odd integers times powers of two."""
    mantissas, exponents = np.frexp(steps)
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    lowest = np.where(whole == 0, 1, whole & -whole)
    zeros = np.log2(lowest.astype(np.float64)).astype(np.int64)
    return (whole // lowest).astype(np.float64), exponents.astype(np.int64) - 53 + zeros


def short(scales: NDArray[np.float64]) -> bool:
    """Whether scales are powers of two, or small multiples of one."""
    return bool(_odd(np.abs(scales))[0].max(initial=0) < 2**SCALE_BITS)


def _declared(quantizer: Quantizer, fraction: int) -> FixedPoint | None:
    """Type that a quantizer of one step has by its bits."""
    if type(quantizer).__name__ != "quantized_bits" or int(quantizer.bits) < 1:
        return None
    return FixedPoint(bool(quantizer.keep_negative), int(quantizer.bits), fraction)

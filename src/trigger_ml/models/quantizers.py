"""QKeras quantizers as fixed-point types, and quantized weights as integers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from qkeras import QConv1D, QConv2D, QDense, QDepthwiseConv2D, quantized_bits, quantized_relu

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint, IntArray, to_integers
from trigger_ml.core.keras_types import Layer, Quantizer

__all__ = [
    "QuantizedWeights", "fixed_point_of", "fraction_bits", "integer_weights", "quantized_weights",
    "quantizer_of", "quantizer_type", "refuse",
]  # fmt: skip


def refuse(layer: Layer, why: str, remedy: str) -> MappingError:
    """Error that names a Keras layer; to be raised by the caller."""
    return MappingError(f"layer {layer.name} ({type(layer).__name__})", why, remedy)


def _reason(quantizer: Quantizer, role: str) -> tuple[str, str] | None:
    """Why a quantizer has no fixed-point type, and what helps; None if it has one."""
    kind = type(quantizer).__name__
    if kind not in ("quantized_bits", "quantized_relu"):
        return (
            f"its {role} quantizer is {kind}",
            "Use quantized_bits(bits, integer, alpha=1), or quantized_relu(bits, integer) for activations",
        )
    if quantizer.use_stochastic_rounding:
        return f"its {role} quantizer rounds at random", "Set use_stochastic_rounding=False"
    if float(quantizer.qnoise_factor) != 1.0:
        return (
            f"its {role} quantizer has qnoise_factor {float(quantizer.qnoise_factor)}: part is unquantized",
            "Set qnoise_factor to 1 at the end of training",
        )
    if kind == "quantized_relu":
        if quantizer.use_sigmoid or quantizer.negative_slope:
            option = "use_sigmoid" if quantizer.use_sigmoid else "negative_slope"
            return f"its {role} quantizer has {option} set", "Use a plain quantized_relu"
        if quantizer.relu_upper_bound is not None and not quantizer.is_quantized_clip:
            return (
                f"its {role} quantizer has relu_upper_bound={quantizer.relu_upper_bound}",
                "Choose the integer bits so that the type saturates there, and leave relu_upper_bound out",
            )
        return None
    alpha = quantizer.alpha
    if alpha is not None and (isinstance(alpha, str) or np.any(np.asarray(alpha) != 1)):
        return (
            f"its {role} quantizer has alpha={alpha!r}, a scale that fixed-point types do not have",
            "Set alpha=1 and choose the integer bits instead",
        )
    if int(quantizer.bits) - bool(quantizer.keep_negative) < 1:
        return f"its {role} quantizer has 1 bit, which QKeras makes binary", "Use 2 bits or more"
    return None


def fixed_point_of(quantizer: Quantizer) -> FixedPoint | None:
    """Fixed-point type of a QKeras quantizer; None if it has none."""
    if _reason(quantizer, "") is not None:
        return None
    signed = bool(getattr(quantizer, "keep_negative", False))
    return FixedPoint(signed, int(quantizer.bits), fraction_bits(quantizer))


def quantizer_type(layer: Layer, quantizer: Quantizer, role: str = "activation") -> FixedPoint:
    """Fixed-point type of a QKeras quantizer.

    Parameters
    ----------
    layer : keras layer
        Named in errors.
    quantizer : qkeras.quantized_bits or qkeras.quantized_relu
    role : str
        What is quantized, for the error message.

    Raises
    ------
    MappingError
        If the quantizer is of another kind, is scaled, stochastic or partly switched off.
    """
    if reason := _reason(quantizer, role):
        raise refuse(layer, *reason)
    dtype = fixed_point_of(quantizer)
    assert dtype is not None
    return dtype


def integer_weights(
    layer: Layer, variable: Any, quantizer: Quantizer, role: str
) -> tuple[IntArray, FixedPoint]:
    """Quantized weights as integers, and their type.

    Parameters
    ----------
    layer : keras layer
        Named in errors.
    variable : tensorflow variable
        The layer's float weights.
    quantizer : QKeras quantizer or None
    role : str
        Name of the weights.

    Raises
    ------
    MappingError
        If the weights are not quantized, or not by a fixed-point quantizer.
    """
    if quantizer is None:
        raise refuse(
            layer, f"its {role} is not quantized", f"Give the layer a {role}_quantizer=quantized_bits(...)"
        )
    dtype = quantizer_type(layer, quantizer, role)
    values = np.asarray(quantizer(variable), dtype=np.float64)
    try:
        return to_integers(values, dtype), dtype
    except ValueError as error:
        raise refuse(layer, f"its {role}: {error}", "Check the weights for NaN and infinity") from None


@dataclass(frozen=True)
class QuantizedWeights:
    """Weights of a QKeras layer.

    Parameters
    ----------
    role : str
        ``kernel``, ``depthwise`` or ``bias``: what QKeras puts before ``_quantizer``.
    variable : tensorflow variable
        Float weights.
    quantizer : QKeras quantizer or None
        None where the layer leaves them unquantized.
    """

    role: str
    variable: Any
    quantizer: Quantizer


def quantized_weights(layer: Layer) -> tuple[QuantizedWeights, ...]:
    """Kernel, and bias where there is one, of a QKeras layer with weights; empty for any other layer."""
    if not isinstance(layer, (QConv1D, QConv2D, QDense, QDepthwiseConv2D)):
        return ()
    if isinstance(layer, QDepthwiseConv2D):
        kernel = QuantizedWeights("depthwise", layer.depthwise_kernel, layer.depthwise_quantizer_internal)
    else:
        kernel = QuantizedWeights("kernel", layer.kernel, layer.kernel_quantizer_internal)
    if not layer.use_bias:
        return (kernel,)
    return kernel, QuantizedWeights("bias", layer.bias, layer.bias_quantizer_internal)


def fraction_bits(quantizer: Quantizer) -> int:
    """Fraction bits of a QKeras quantizer's values, whatever else it does."""
    return int(quantizer.bits) - int(getattr(quantizer, "keep_negative", False)) - int(quantizer.integer)


def quantizer_of(dtype: FixedPoint) -> Any:
    """QKeras' quantizer to a type: ``quantized_bits`` if it is signed, otherwise ``quantized_relu``.

    Parameters
    ----------
    dtype : FixedPoint
        Without negative integer bits, of which QKeras has none.
    """
    integer = dtype.width - int(dtype.signed) - dtype.fraction
    if integer < 0:
        raise ValueError(f"QKeras has no negative integer bits, as {dtype} needs")
    return (
        quantized_bits(dtype.width, integer, alpha=1)
        if dtype.signed
        else quantized_relu(dtype.width, integer)
    )

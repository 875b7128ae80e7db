"""QKeras quantizers as fixed-point types, and quantized weights as integers."""

from typing import Any

import numpy as np

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint, IntArray, to_integers

__all__ = ["integer_weights", "quantizer_type", "refuse"]


def refuse(layer: Any, why: str, remedy: str) -> MappingError:
    """Error that names a Keras layer; to be raised by the caller."""
    return MappingError(f"layer {layer.name} ({type(layer).__name__})", why, remedy)


def quantizer_type(layer: Any, quantizer: Any, role: str = "activation") -> FixedPoint:
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
    kind = type(quantizer).__name__
    if kind not in ("quantized_bits", "quantized_relu"):
        raise refuse(
            layer,
            f"its {role} quantizer is {kind}",
            "Use quantized_bits(bits, integer, alpha=1), or quantized_relu(bits, integer) for activations",
        )
    if quantizer.use_stochastic_rounding:
        raise refuse(layer, f"its {role} quantizer rounds at random", "Set use_stochastic_rounding=False")
    if float(quantizer.qnoise_factor) != 1.0:
        raise refuse(
            layer,
            f"its {role} quantizer has qnoise_factor {float(quantizer.qnoise_factor)}: part is unquantized",
            "Set qnoise_factor to 1 at the end of training",
        )
    bits, integer = int(quantizer.bits), int(quantizer.integer)
    if kind == "quantized_relu":
        if quantizer.use_sigmoid or quantizer.negative_slope:
            option = "use_sigmoid" if quantizer.use_sigmoid else "negative_slope"
            raise refuse(layer, f"its {role} quantizer has {option} set", "Use a plain quantized_relu")
        if quantizer.relu_upper_bound is not None and not quantizer.is_quantized_clip:
            raise refuse(
                layer,
                f"its {role} quantizer has relu_upper_bound={quantizer.relu_upper_bound}",
                "Choose the integer bits so that the type saturates there, and leave relu_upper_bound out",
            )
        return FixedPoint(False, bits, bits - integer)
    alpha = quantizer.alpha
    if alpha is not None and (isinstance(alpha, str) or np.any(np.asarray(alpha) != 1)):
        raise refuse(
            layer,
            f"its {role} quantizer has alpha={alpha!r}, a scale that fixed-point types do not have",
            "Set alpha=1 and choose the integer bits instead",
        )
    signed = bool(quantizer.keep_negative)
    if bits - signed < 1:
        raise refuse(
            layer, f"its {role} quantizer has 1 bit, which QKeras makes binary", "Use 2 bits or more"
        )
    return FixedPoint(signed, bits, bits - signed - integer)


def integer_weights(layer: Any, variable: Any, quantizer: Any, role: str) -> tuple[IntArray, FixedPoint]:
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

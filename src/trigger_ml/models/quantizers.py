"""QKeras quantizers as fixed-point types."""

from typing import Any

import numpy as np
import qkeras.quantizers
from qkeras import quantized_bits, quantized_relu

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras_types import Layer, Quantizer

__all__ = ["fixed_point_of", "fraction_bits", "hard_sigmoid", "inexact", "quantizer_of", "refuse"]


def refuse(layer: Layer, why: str, remedy: str) -> MappingError:
    """Error that names a Keras layer; to be raised by the caller."""
    return MappingError(f"layer {layer.name} ({type(layer).__name__})", why, remedy)


def inexact(quantizer: Quantizer, role: str) -> tuple[str, str] | None:
    """Why a quantizer's values cannot be told beforehand, and what helps; None if they can.

    Rounding at random is what quantizers do in training; at inference they round to the nearest.
    """
    kind = type(quantizer).__name__
    if kind == "bernoulli":
        return f"its {role} quantizer bernoulli is random at inference, too", "Use binary(use_01=True)"
    if float(getattr(quantizer, "qnoise_factor", 1.0)) != 1.0:
        return (
            f"its {role} quantizer has qnoise_factor {float(quantizer.qnoise_factor)}: part is unquantized",
            "Set qnoise_factor to 1 at the end of training",
        )
    return None


def fixed_point_of(quantizer: Quantizer) -> FixedPoint | None:
    """Type of a quantizer's values, perhaps without its smallest; None if it is more than a type."""
    kind = type(quantizer).__name__
    if kind not in ("quantized_bits", "quantized_relu") or inexact(quantizer, "") is not None:
        return None
    if kind == "quantized_relu":
        # the upper bound is that of the type unless it is told not to be
        bound = quantizer.relu_upper_bound if not quantizer.is_quantized_clip else None
        if quantizer.use_sigmoid or quantizer.negative_slope or bound:
            return None
        return FixedPoint(False, int(quantizer.bits), fraction_bits(quantizer))
    alpha = quantizer.alpha
    if alpha is not None and (isinstance(alpha, str) or np.any(np.asarray(alpha) != 1)):
        return None
    if int(quantizer.bits) - bool(quantizer.keep_negative) < 1:
        # QKeras makes one bit a sign
        return None
    return FixedPoint(bool(quantizer.keep_negative), int(quantizer.bits), fraction_bits(quantizer))


def hard_sigmoid() -> bool:
    """Whether QKeras' sigmoid is the piecewise linear one, its default."""
    return qkeras.quantizers._sigmoid is qkeras.quantizers.hard_sigmoid


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

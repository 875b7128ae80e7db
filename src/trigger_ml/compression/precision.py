"""Rounding to a learned number of bits, and its cost, with gradients that tell how much a bit matters.

The method is high-granularity quantization (Sun et al. 2024, arXiv:2405.00645): each value ``x`` is rounded
to ``q``, a multiple of ``2**-f`` with a real ``f`` of its own, which is rounded itself. What rounding
changes, ``q - x``, is in the mean proportional to ``2**-f``, so that ``dq/df = ln 2 * (x - q)`` stands for
the derivative of a step function; to ``x`` itself rounding passes the gradient on unchanged.
"""

import math

from trigger_ml.core.keras2 import tf
from trigger_ml.core.keras_types import Tensor

__all__ = ["power_of_two", "rounded", "saturated", "signed_digits"]

LN2 = math.log(2.0)
SLOPES = (0.0, 1.0, 0.5, 0.25, 0.375)
"""Signed digits that one bit less takes from a magnitude of so many bits: differences of their means over the
magnitudes of 0, 1, 2, ... bits; one third from there on."""


def power_of_two(exponent: Tensor) -> Tensor:
    """``2**exponent`` for whole exponents from -126 to 127: exactly, which ``pow`` does not promise."""
    return tf.bitcast((tf.cast(exponent, tf.int32) + 127) * 2**23, tf.float32)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def rounded(values: Tensor, fraction: Tensor) -> Tensor:
    """Values as multiples of ``2**-round(fraction)``, halves to even.

    Parameters
    ----------
    values : tensor of float32
    fraction : tensor of float32, same shape
    """
    whole = tf.round(fraction)
    result = tf.round(values * power_of_two(whole)) * power_of_two(-whole)

    def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
        return upstream, upstream * LN2 * (values - result)

    return result, gradient


def saturated(values: Tensor, fraction: Tensor, integer: int, signed: bool) -> Tensor:
    """Values of a layer in a fixed-point type of ``round(fraction)`` fraction bits, halves to even.

    Parameters
    ----------
    values : tensor of float32
    fraction : tensor of float32, scalar
    integer : int
        Bits left of the point, without the sign.
    signed : bool
    """
    low, bound = (-(2.0**integer) if signed else 0.0), 2.0**integer

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def quantize(values: Tensor, fraction: Tensor) -> Tensor:
        whole = tf.round(fraction)
        last = power_of_two(-whole)
        high = bound - last
        result = tf.clip_by_value(tf.round(values * power_of_two(whole)) * last, low, high)

        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
            inside = tf.logical_and(values >= low, values <= high)
            # beyond the range the result is its end, which moves with the last bit
            moved = tf.where(inside, values - result, tf.where(values > high, last, 0.0))
            passed = tf.where(inside, upstream, tf.zeros_like(upstream))
            return passed, LN2 * tf.reduce_sum(upstream * moved)

        return result, gradient

    return quantize(values, fraction)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def signed_digits(values: Tensor, fraction: Tensor) -> Tensor:
    """Non-zero digits of values in canonical signed form: what adders a multiplication takes.

    A digit more or less is no smooth function of the bits; as derivative stands what one bit is worth in the
    mean (`SLOPES`). The last digit of a value is worth most: without it the weight is gone.

    Parameters
    ----------
    values : tensor of float32
        From :func:`rounded`; magnitudes of at most 29 bits.
    fraction : tensor of float32, same shape

    Returns
    -------
    tensor of float32, same shape
    """
    integers = tf.cast(tf.round(tf.abs(values) * power_of_two(tf.round(fraction))), tf.int32)
    digits = tf.raw_ops.PopulationCount(x=tf.bitwise.bitwise_xor(integers, 3 * integers))

    def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
        bits = sum(tf.cast(integers >= 2**place, tf.int32) for place in range(len(SLOPES)))
        slope = tf.gather(tf.constant([*SLOPES, 1 / 3], tf.float32), bits)
        return tf.zeros_like(values), upstream * slope

    return tf.cast(digits, tf.float32), gradient

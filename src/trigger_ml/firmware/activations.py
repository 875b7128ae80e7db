"""What each of QKeras' quantizers of activations becomes: conversions to a type, and exact sums around them.

A quantizer that is no fixed-point type is made of the ops that there are: a multiple of a power of two is a
:class:`Quantize` and a product, a comparison is a conversion to one signed bit (minus one below zero), a
limit within a type's range is what exceeds it, taken away. Nothing here is approximated.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import FixedPoint, IntArray, Rounding
from trigger_ml.core.keras_types import Layer, Quantizer
from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.ops import Add, Conv2D, Dense, Node, Quantize, Shape
from trigger_ml.models.quantized import short
from trigger_ml.models.quantizers import fraction_bits, hard_sigmoid, inexact, refuse

__all__ = ["ADDED", "Growing", "direct", "quantize", "require_definite"]

type Scale = float | NDArray[np.float64]
"""One number for all channels, or one for each."""

SIGN = FixedPoint(True, 1, 0)
"""Minus one below zero, else zero."""

ADDED: tuple[type[Node], ...] = (Quantize, Conv2D, Dense, Add)
"""Ops that an activation may add."""


class Growing(Protocol):
    """A network that grows."""

    def shape(self, name: str) -> Shape:
        """Shape of a node's output."""

    def bounds(self, name: str) -> Bounds:
        """Interval of a node's output."""

    def add(self, node: Node) -> None:
        """Add a node."""


@dataclass(frozen=True)
class _Place:
    """Where a quantizer is put: behind a node, with a name for its result."""

    state: Growing
    layer: Layer
    name: str

    def refuse(self, why: str, remedy: str) -> Exception:
        return refuse(self.layer, why, remedy)

    def fraction(self, source: str) -> int:
        return self.state.bounds(source).fraction

    def reaches(self, source: str) -> tuple[int, int]:
        bounds = self.state.bounds(source)
        return int(bounds.low.min()), int(bounds.high.max())

    def put(self, node: Node) -> str:
        self.state.add(node)
        return node.name

    def called(self, part: str) -> str:
        return f"{self.name}/{part}" if part else self.name

    def convert(self, source: str, dtype: FixedPoint, part: str = "", floor: bool = False) -> str:
        rounding = Rounding.TRN if floor else Rounding.RND_CONV
        return self.put(Quantize(self.called(part), (source,), dtype, rounding))

    def line(self, source: str, factor: Scale, summand: Scale, part: str = "") -> str:
        """``factor * x + summand``, one of each for all channels or for each; they are dyadic."""
        shape = self.state.shape(source)
        channels = shape[-1]
        (kernel, kernel_type), (bias, bias_type) = (_dyadic(v, channels) for v in (factor, summand))
        name, weights = self.called(part), (kernel_type, bias, bias_type)
        if len(shape) == 1:
            return self.put(Dense(name, (source,), np.diag(kernel), *weights))
        return self.put(Conv2D(name, (source,), kernel.reshape(1, 1, channels, 1), *weights, depthwise=True))

    def positive(self, source: str, part: str) -> str:
        """What of a node's values is above zero, exactly."""
        dtype = FixedPoint.holding(0, max(self.reaches(source)[1], 0), self.fraction(source))
        return self.convert(source, dtype, part, floor=True)

    def at_least(self, source: str, low: int, part: str = "") -> str:
        """The larger of a node's integers and ``low``."""
        limit = math.ldexp(low, -self.fraction(source))
        above = self.positive(self.line(source, 1, -limit, "above_least"), "beyond_least")
        return self.line(above, 1, limit, part)

    def at_most(self, source: str, high: int, part: str = "") -> str:
        """The smaller of a node's integers and ``high``."""
        limit = math.ldexp(high, -self.fraction(source))
        below = self.positive(self.line(source, -1, limit, "below_most"), "within_most")
        return self.line(below, -1, limit, part)


def _dyadic(values: Scale, channels: int) -> tuple[IntArray, FixedPoint]:
    """Real numbers, one for each channel, as integers of one type: any float is one, given enough bits."""
    numbers = [Fraction(float(v)) for v in np.broadcast_to(np.asarray(values, dtype=np.float64), (channels,))]
    whole = math.lcm(*(n.denominator for n in numbers))
    integers = np.array([int(n * whole) for n in numbers], dtype=np.int64)
    fraction = whole.bit_length() - 1
    return integers, FixedPoint.holding(int(integers.min()), int(integers.max()), fraction)


def _scale(place: _Place, quantizer: Quantizer) -> Scale:
    """A quantizer's scale, one for all channels or one for each."""
    alpha = quantizer.alpha
    if alpha is None:
        return 1.0
    scale = np.asarray(alpha, dtype=np.float32).astype(np.float64)
    if scale.size > 1:
        scale = scale.reshape(-1)
    if not short(scale):
        raise place.refuse(
            f"its activation quantizer has alpha={quantizer.alpha}, which is no power of two",
            "Use a power of two, or a small multiple of one",
        )
    return scale


def _is_one(scale: Scale) -> bool:
    return bool(np.all(np.asarray(scale) == 1))


def _bits(place: _Place, quantizer: Quantizer, source: str) -> None:
    scale = _scale(place, quantizer)
    keep = bool(quantizer.keep_negative)
    if int(quantizer.bits) - keep < 1:
        _sign(place, source, scale)
        return
    dtype = FixedPoint(keep, int(quantizer.bits), fraction_bits(quantizer))
    _finish(place, source, dtype, scale, symmetric=bool(quantizer.symmetric) and keep)


def _finish(place: _Place, source: str, dtype: FixedPoint, scale: Scale, symmetric: bool) -> None:
    """Conversion to a type, perhaps without its smallest integer, times a scale."""
    scaled = not _is_one(scale)
    if symmetric:
        found = Quantize("", (), dtype).bounds([place.state.bounds(source)], [])
        symmetric = int(found.low.min()) == dtype.minimum
    last = place.convert(source, dtype, "q" if scaled or symmetric else "")
    if symmetric:
        last = place.at_least(last, dtype.minimum + 1, "symmetric" if scaled else "")
    if scaled:
        place.line(last, scale, 0)


def _relu(place: _Place, quantizer: Quantizer, source: str) -> None:
    slope, fraction = float(quantizer.negative_slope), fraction_bits(quantizer)
    bits = int(quantizer.bits) - int(slope != 0)
    bound = None
    if not quantizer.is_quantized_clip and quantizer.relu_upper_bound:
        bound = _bound(place, float(quantizer.relu_upper_bound), bits, fraction - int(slope != 0))
    if not slope:
        last = place.convert(source, FixedPoint(False, bits, fraction), "" if bound is None else "q")
        if bound is not None:
            place.at_most(last, bound)
        return
    fraction -= 1
    below = bits + round(math.log2(slope))
    if below < 0:
        raise place.refuse(
            f"its negative_slope {slope} is below the last of its {bits} bits",
            "Use a larger slope or more bits",
        )
    # the negative side is rounded after its slope, and ends at slope * 2**integer
    signed = FixedPoint(True, below + 1, fraction)
    negative = place.convert(place.line(source, slope, 0, "slope"), signed, "negative")
    negative = place.positive(place.line(negative, -1, 0, "minus"), "size")
    positive = place.convert(source, FixedPoint(False, bits, fraction), "positive")
    if bound is not None:
        positive = place.at_most(positive, bound, "bounded")
    negative = place.line(negative, -1, 0, "back")
    place.put(Add(place.name, (positive, negative)))


def _bound(place: _Place, bound: float, bits: int, fraction: int) -> int | None:
    """An upper bound as an integer of the quantizer; None if the type ends before it."""
    steps = math.ldexp(float(np.float32(bound)), fraction)
    if steps >= (1 << bits) - 1:
        return None
    if steps != int(steps):
        raise place.refuse(
            f"its relu_upper_bound {bound} is no multiple of its last bit, {math.ldexp(1, -fraction)}",
            "Choose a bound that is, or set is_quantized_clip=True",
        )
    return int(steps)


def _sign(place: _Place, source: str, scale: Scale, zero_one: bool = False) -> None:
    """Minus or plus the scale, or zero or the scale; zero counts as positive."""
    below = place.convert(source, SIGN, "below_zero", floor=True)
    place.line(below, np.asarray(scale) * (1 if zero_one else 2), scale)


def _binary(place: _Place, quantizer: Quantizer, source: str) -> None:
    _sign(place, source, _scale(place, quantizer), bool(quantizer.use_01))


def _ternary(place: _Place, quantizer: Quantizer, source: str) -> None:
    scale, fraction = _scale(place, quantizer), place.fraction(source)
    threshold = quantizer.default_threshold if quantizer.threshold is None else quantizer.threshold
    steps = max(1, math.ceil(Fraction(float(np.float32(threshold))) * Fraction(2) ** fraction))
    # minus one below the threshold, and minus one from minus the threshold on downwards
    parts = []
    for part, offset in (("high", -steps), ("low", steps - 1)):
        moved = place.line(source, 1, math.ldexp(offset, -fraction), f"above_{part}")
        parts.append(place.convert(moved, SIGN, f"below_{part}", floor=True))
    total = place.put(Add(place.called("sum"), tuple(parts)))
    place.line(total, scale, scale)


def _tanh(place: _Place, quantizer: Quantizer, source: str) -> None:
    """QKeras' own tanh is a straight line between minus one and one."""
    bits = int(quantizer.bits)
    _finish(place, source, FixedPoint(True, bits, bits - 1), 1, symmetric=bool(quantizer.symmetric))


def _sigmoid(place: _Place, quantizer: Quantizer, source: str) -> None:
    """QKeras' own sigmoid is a straight line between zero and one."""
    bits = int(quantizer.bits)
    last = place.line(source, 0.5, 0.5, "line")
    last = place.convert(last, FixedPoint(False, bits, bits), "q" if quantizer.symmetric else "")
    if quantizer.symmetric:
        place.at_least(last, 1)


QUANTIZERS: Mapping[str, Callable[[_Place, Quantizer, str], None]] = {
    "quantized_bits": _bits,
    "quantized_relu": _relu,
    "binary": _binary,
    "stochastic_binary": _binary,
    "ternary": _ternary,
    "stochastic_ternary": _ternary,
    "quantized_tanh": _tanh,
    "quantized_sigmoid": _sigmoid,
}
"""From a quantizer of QKeras, by its class, to nodes."""


def direct(quantizer: Quantizer) -> bool:
    """Whether a quantizer is made of conversions and exact sums; others need a table of their values."""
    kind = type(quantizer).__name__
    if kind in ("quantized_tanh", "quantized_sigmoid"):
        real = quantizer.use_real_tanh if kind == "quantized_tanh" else quantizer.use_real_sigmoid
        return not real and hard_sigmoid()
    return kind in QUANTIZERS and not getattr(quantizer, "use_sigmoid", False)


def require_definite(layer: Layer, quantizer: Quantizer) -> None:
    """Refuse a quantizer of activations whose values depend on chance or on other events.

    Raises
    ------
    MappingError
    """
    if reason := inexact(quantizer, "activation"):
        raise refuse(layer, *reason)
    alpha = getattr(quantizer, "alpha", None)
    if isinstance(alpha, str):
        raise refuse(
            layer,
            f"its activation quantizer has alpha={alpha!r}: the scale follows each batch of events",
            "Give it alpha=1, or a number",
        )


def quantize(state: Growing, layer: Layer, quantizer: Quantizer, source: str, name: str) -> None:
    """Put the nodes of an activation's quantizer behind a node.

    Parameters
    ----------
    state : Growing
    layer : keras layer
        Named in errors.
    quantizer : QKeras quantizer
        One that is :func:`direct`.
    source : str
        The node.
    name : str
        Of the node that has the result.

    Raises
    ------
    MappingError
        If the quantizer's values depend on the batch or are no fixed-point numbers.
    """
    require_definite(layer, quantizer)
    QUANTIZERS[type(quantizer).__name__](_Place(state, layer, name), quantizer, source)

"""Functions of one number: tables, or straight lines that a quantizer cannot tell from them.

Both are made from the values that the model's own layers give, number by number, and hold for every one that
can occur: nothing is approximated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import FixedPoint, IntArray, Rounding, from_grid, requantize
from trigger_ml.core.keras_types import Layer, Quantizer, Tensor
from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.ops import Conv2D, Dense, Lookup, Node, Quantize
from trigger_ml.firmware.ir.ops.lookup import MAX_ENTRIES
from trigger_ml.models.quantizers import refuse

__all__ = ["LINE", "Curve", "Numbers", "curve_of", "exact_table", "quantized_curve"]

LINE = "_line"
"""Ends the name of a node that stands for a straight line of the model, before its quantizer."""
FINEST, COARSEST = 30, -20
"""Fraction bits among which the type of a table's entries is looked for."""
WIDEST = 16
"""Bits of a table's entries where no quantizer says how many."""
SMALL_TABLE = 256
"""Entries up to which a table is smaller than a product with a factor of many bits."""
MOST_LINES = 1 << 25
"""Values, of all channels, that a straight line is tried on."""
FACTOR_BITS, SUMMAND_BITS = 23, 30


@dataclass(frozen=True)
class Curve:
    """A function of one number that a layer computes in float32.

    Parameters
    ----------
    layer : keras layer
    function : callable
        From values (numbers, ..., channels), of the rank of the layer's input with ones for height and width,
        to the layer's results.
    line : tuple of numpy.ndarray of float64, optional
        Factor and summand of each channel, where the function is a straight line.
    """

    layer: Layer
    function: Callable[[Tensor], Tensor]
    line: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None


@dataclass(frozen=True)
class Numbers:
    """What functions are applied to: the output of a node.

    Parameters
    ----------
    source : str
    bounds : Bounds
    rank : int
        3 for a map, 1 for a vector.
    """

    source: str
    bounds: Bounds
    rank: int

    @property
    def low(self) -> int:
        """The smallest of any channel."""
        return int(self.bounds.low.min())

    @property
    def count(self) -> int:
        """Numbers from the smallest to the largest."""
        return int(self.bounds.high.max()) - self.low + 1

    def values(self) -> NDArray[np.float32]:
        """Each number in each channel: (numbers, channels), with ones between for a map."""
        numbers = np.arange(self.low, self.low + self.count, dtype=np.float64)
        between = (1, 1) if self.rank == 3 else ()
        column = np.ldexp(numbers, -self.bounds.fraction).astype(np.float32).reshape(-1, *between, 1)
        return np.broadcast_to(column, (self.count, *between, len(self.bounds.low))).copy()


def curve_of(layer: Layer) -> Curve:
    """A layer as a function of one number, by calling it."""
    return Curve(layer, lambda x: np.asarray(layer(x, training=False) if _trains(layer) else layer(x)))


def _trains(layer: Layer) -> bool:
    return bool(getattr(layer, "_expects_training_arg", False))


def _results(curves: Sequence[Curve], numbers: Numbers) -> NDArray[np.float64]:
    """What the functions, one after the other, give for each number and channel: (numbers, channels)."""
    bounds = numbers.bounds
    if numbers.count * len(bounds.low) > MOST_LINES or bounds.magnitude >= 1 << 24:
        raise _too_many(curves[0].layer, numbers.count)
    x = numbers.values()
    for curve in curves:
        x = np.asarray(curve.function(x), dtype=np.float32)
        if x.size != numbers.count * len(bounds.low):
            raise refuse(
                curve.layer,
                "differs from position to position",
                "Give it one number for each channel (shared_axes)",
            )
    return x.reshape(numbers.count, -1).astype(np.float64)


def _too_many(layer: Layer, entries: int) -> Exception:
    return refuse(
        layer,
        f"is a function of {entries} different numbers, more than the {MAX_ENTRIES} of a table",
        "Quantize its input: put a QActivation(quantized_bits(8, 3, alpha=1)) before it",
    )


def _entries(values: NDArray[np.float64], fraction: int) -> IntArray | None:
    """Integers of a table with a row for each channel, or one row for all; None if one is between two."""
    if not np.isfinite(values).all() or np.any(
        np.ldexp(values, fraction) != np.rint(np.ldexp(values, fraction))
    ):
        return None
    table = from_grid(values.T, fraction)
    return table[0] if bool(np.all(table == table[0])) else table


def exact_table(curves: Sequence[Curve], numbers: Numbers) -> Lookup:
    """Functions whose values are fixed-point numbers as they are, as a table named as the last layer.

    Raises
    ------
    MappingError
        If they are none, or too many.
    """
    layer = curves[-1].layer
    if numbers.count > MAX_ENTRIES:
        raise _too_many(layer, numbers.count)
    values = _results(curves, numbers)
    for fraction in range(COARSEST, FINEST + 1):
        table = _entries(values, fraction)
        if table is not None:
            dtype = FixedPoint.holding(int(table.min()), int(table.max()), fraction)
            if dtype.width > WIDEST:
                # any number of float32 is one, given enough bits
                break
            return Lookup(layer.name, (numbers.source,), dtype, numbers.low, table)
    raise refuse(
        layer,
        "gives values that are no fixed-point numbers",
        "Put a quantizer behind it: QActivation(quantized_bits(...)) or quantized_relu",
    )


def quantized_curve(
    curves: Sequence[Curve], numbers: Numbers, layer: Layer, quantizer: Quantizer, dtype: FixedPoint
) -> list[Node]:
    """Functions and the quantizer behind them, exact for every number that can occur.

    Parameters
    ----------
    curves : sequence of Curve
        The innermost one first.
    numbers : Numbers
    layer : keras layer
        That of the quantizer, after which the last node is named.
    quantizer : callable
        Of QKeras.
    dtype : FixedPoint
        Of its values.

    Raises
    ------
    MappingError
        If there are too many numbers for a table, and the functions are no straight line.
    """
    if all(curve.line is None for curve in curves) and numbers.count > MAX_ENTRIES:
        raise _too_many(curves[-1].layer, numbers.count)
    values = _results((*curves, Curve(layer, quantizer)), numbers)
    table = _entries(values, dtype.fraction)
    if table is None or not dtype.contains(int(table.min()), int(table.max())):
        raise refuse(
            layer, "its quantizer gives values beyond its type", "Use quantized_bits or quantized_relu"
        )
    lines = [curve.line for curve in curves if curve.line is not None]
    if numbers.count > SMALL_TABLE and len(lines) == len(curves):
        nodes = _line(
            numbers, f"{layer.name}{LINE}", layer.name, dtype, np.atleast_2d(table), _composed(lines)
        )
        if nodes:
            return nodes
    if numbers.count > MAX_ENTRIES:
        raise _too_many(curves[-1].layer, numbers.count)
    return [Lookup(layer.name, (numbers.source,), dtype, numbers.low, table)]


def _composed(
    lines: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    factor, summand = np.ones(1), np.zeros(1)
    for a, b in lines:
        factor, summand = factor * a, summand * a + b
    return factor, summand


def _line(
    numbers: Numbers,
    name: str,
    quantized: str,
    dtype: FixedPoint,
    table: IntArray,
    line: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> list[Node]:
    """A product and a sum of as few bits as give the table's integers for every number; none if none do."""
    bounds = numbers.bounds
    channels = len(bounds.low)
    factor, summand = (np.broadcast_to(v, (channels,)) for v in line)
    column = np.arange(numbers.low, numbers.low + numbers.count)[:, None]
    occurs = (column >= bounds.low) & (column <= bounds.high)
    wanted = np.broadcast_to(table.T, occurs.shape)
    largest = int(np.ceil(np.log2(max(float(np.abs(factor).max()), 2.0**-60))))
    middle = (bounds.low + bounds.high) / 2
    for bits in range(1, FACTOR_BITS + 1):
        places = bits - largest
        kernel = np.rint(np.ldexp(factor, places)).astype(np.int64)
        total = bounds.fraction + places
        # what the factor is off by is made good in the middle of the range
        off = (factor - np.ldexp(kernel.astype(np.float64), -places)) * np.ldexp(middle, -bounds.fraction)
        bias = np.ldexp(summand + off, total)
        if np.abs(bias).max() >= 2.0**SUMMAND_BITS:
            break
        rounded = np.rint(bias).astype(np.int64)
        found = requantize(column * kernel + rounded, total, dtype, Rounding.RND_CONV)
        if bool(np.all((found == wanted) | ~occurs)):
            first = _product(numbers, name, (kernel, places), (rounded, total))
            return [first, Quantize(quantized, (name,), dtype)]
    return []


def _product(
    numbers: Numbers, name: str, factor: tuple[IntArray, int], summand: tuple[IntArray, int]
) -> Node:
    """Each channel times a number of its own, plus one."""
    (kernel, kernel_type), (bias, bias_type) = (
        (n, FixedPoint.holding(int(n.min()), int(n.max()), fraction)) for n, fraction in (factor, summand)
    )
    types = kernel_type, bias, bias_type
    if numbers.rank == 1:
        return Dense(name, (numbers.source,), np.diag(kernel), *types)
    return Conv2D(name, (numbers.source,), kernel.reshape(1, 1, -1, 1), *types, depthwise=True)

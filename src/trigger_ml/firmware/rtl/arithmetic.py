"""Every op as logic for one position."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from alkaid.trace import FVariable, FVArray

from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import (
    Add,
    Affine,
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
    Quantize,
)
from trigger_ml.firmware.ir.registry import Registry
from trigger_ml.firmware.rtl.limits import (
    convolution_limits,
    flat_limits,
    no_limits,
    pooling_limits,
    table_limits,
    weight_limits,
)
from trigger_ml.firmware.rtl.rounding import HARDWARE, constant, product, quantize, tabulated

__all__ = ["ARITHMETIC", "Arithmetic", "apply", "array"]


@dataclass(frozen=True)
class Arithmetic:
    """An op as logic.

    Parameters
    ----------
    apply : callable
        From the node, its inputs (FVArray) and their fraction bits to one position of the output.
    by_cell : bool
        Whether an input is (positions, channels); otherwise it is flat.
    check : callable
        From network and node; raises MappingError where no logic can be made.
    """

    apply: Callable[[Any, list[FVArray], list[int]], Any]
    by_cell: bool = False
    check: Callable[[Network, Any], None] = no_limits

    def layout(self, integers: int, positions: int) -> tuple[int, ...]:
        """Shape in which ``apply`` wants so many integers of some positions."""
        return (positions, integers // positions) if self.by_cell else (integers,)


def array(values: Any) -> FVArray:
    """Variables and numbers as an array of variables."""
    variables = np.vectorize(lambda v: v if hasattr(v, "kif") else constant(v), otypes=[object])(
        np.asarray(values)
    )
    return FVArray(variables, {"binary_lut": False}, hwconf=HARDWARE)


def _affine(node: Affine, values: list[FVArray], fractions: list[int]) -> FVArray:
    """``(x @ weights) << places + bias`` on integers."""
    x, places = values[0], node.accumulator_places(fractions[0])
    variables = np.asarray(x)
    fixed = np.array([v.low == v.high for v in variables])
    matrix = node.matrix.astype(np.float64) * 2.0**places
    total = node.aligned_bias(fractions[0]).astype(np.float64)
    # alkaid's solver takes no constants
    if fixed.any():
        total = total + np.array([v.low for v in variables[fixed]]) @ matrix[fixed]
    if not matrix[~fixed].any():
        return total
    return x[~fixed] @ matrix[~fixed] + total


def _quantize(node: Quantize, values: list[FVArray], fractions: list[int]) -> FVArray:
    variables = [v if isinstance(v, FVariable) else constant(v) for v in np.asarray(values[0]).ravel()]
    places = fractions[0] - node.dtype.fraction
    results = [quantize(v, places, node.dtype, node.rounding, node.overflow) for v in variables]
    return FVArray(np.array(results, dtype=object), hwconf=HARDWARE)


def _aligned(values: list[FVArray], fractions: list[int]) -> list[FVArray]:
    """Inputs in units of the finest last bit."""
    finest = max(fractions)
    return [value * 2.0 ** (finest - fraction) for value, fraction in zip(values, fractions, strict=True)]


def _add(node: Add, values: list[FVArray], fractions: list[int]) -> FVArray:
    first, *others = _aligned(values, fractions)
    for other in others:
        first = first + other
    return first


def _concatenate(node: Concatenate, values: list[FVArray], fractions: list[int]) -> FVArray:
    """Wires alone. Where only some channels are looked at, an input may have none."""
    finest = max(fractions)
    parts = [v * 2.0 ** (finest - f) for v, f in zip(values, fractions, strict=True) if v.size]
    return array(np.concatenate([np.asarray(part) for part in parts], axis=-1))


def _tree(x: FVArray, combine: Callable[[FVArray, FVArray], FVArray]) -> FVArray:
    """Combine the first axis pair by pair, so that the tree is shallow."""
    rows = list(np.asarray(x))
    while len(rows) > 1:
        pairs = [
            [combine(a, b) for a, b in zip(*rows[i : i + 2], strict=True)] for i in range(0, len(rows) - 1, 2)
        ]
        rows = pairs + ([rows[-1]] if len(rows) % 2 else [])
    return FVArray(np.array(rows[0], dtype=object), hwconf=HARDWARE)


def _maximum(node: Node, values: list[FVArray], fractions: list[int]) -> FVArray:
    return _tree(values[0], lambda a, b: a.max_of(b))


def _sum(node: Node, values: list[FVArray], fractions: list[int]) -> FVArray:
    return _tree(values[0], operator.add)


def _multiply(node: Multiply, values: list[FVArray], fractions: list[int]) -> FVArray:
    """Products; the second factor may have fewer values."""
    first, second = np.broadcast_arrays(*(np.asarray(array(v)) for v in values))
    products = [product(a, b) for a, b in zip(first.ravel(), second.ravel(), strict=True)]
    return array(np.array(products, dtype=object).reshape(first.shape))


def _lookup(node: Lookup, values: list[FVArray], fractions: list[int]) -> FVArray:
    variables = np.asarray(array(values[0]))
    rows = node.rows
    results = [tabulated(v, rows[i % len(rows)], node.low) for i, v in enumerate(variables.ravel())]
    return array(np.array(results, dtype=object).reshape(variables.shape))


def _pass(node: Node, values: list[FVArray], fractions: list[int]) -> FVArray:
    return values[0]


ARITHMETIC = Registry[Arithmetic](
    "RTL arithmetic",
    {
        Input: Arithmetic(_pass),
        Conv2D: Arithmetic(_affine, check=convolution_limits),
        Dense: Arithmetic(_affine, check=weight_limits),
        Quantize: Arithmetic(_quantize),
        Add: Arithmetic(_add),
        Concatenate: Arithmetic(_concatenate),
        Multiply: Arithmetic(_multiply),
        Lookup: Arithmetic(_lookup, check=table_limits),
        MaxPool2D: Arithmetic(_maximum, by_cell=True, check=pooling_limits),
        AveragePool2D: Arithmetic(_sum, by_cell=True),
        GlobalMaxPool: Arithmetic(_maximum, by_cell=True),
        GlobalAveragePool: Arithmetic(_sum, by_cell=True),
        Flatten: Arithmetic(_pass, check=flat_limits),
    },
)


def apply(node: Node, values: list[FVArray], fractions: list[int]) -> Any:
    """One node on one position.

    Parameters
    ----------
    node : Node
    values : list of FVArray
        See :meth:`Arithmetic.layout`.
    fractions : list of int
        Of each input.

    Returns
    -------
    FVArray, or numpy.ndarray where the output does not depend on the input
    """
    return ARITHMETIC.of(node).apply(node, values, fractions)

"""Any function of one number, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import FixedPoint, IntArray
from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.ops.base import Node, Shape, channel_index

__all__ = ["MAX_ENTRIES", "Lookup"]

MAX_ENTRIES = 1 << 14
"""Entries of a table that hardware still holds in lookup tables for each channel."""


@dataclass(frozen=True, eq=False)
class Lookup(Node):
    """The table's entry for each integer: ``table[n - low]``, an integer of ``dtype``.

    ``table`` is (entries,), or (channels, entries) with a row for each channel.
    """

    op = "lookup"
    since = 3
    dtype: FixedPoint
    low: int
    table: IntArray

    @property
    def rows(self) -> IntArray:
        """The tables, shape (1 or channels, entries)."""
        return np.atleast_2d(self.table)

    def _each(self, channels: int) -> IntArray:
        return np.broadcast_to(self.rows, (channels, self.rows.shape[1]))

    @override
    def shape(self, inputs: list[Shape]) -> Shape:
        return inputs[0]

    @override
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        first, last = inputs[0].low - self.low, inputs[0].high - self.low
        if len(self.rows) not in (1, len(first)):
            raise ValueError(f"node {self.name!r} has {len(self.rows)} tables for {len(first)} channels")
        if first.min() < 0 or last.max() >= self.rows.shape[1]:
            raise ValueError(
                f"node {self.name!r} has no entries for {inputs[0].low.min()} to {inputs[0].high.max()}"
            )
        parts = [row[a : b + 1] for row, a, b in zip(self._each(len(first)), first, last, strict=True)]
        low, high = (np.array([f(part) for part in parts], dtype=np.int64) for f in (np.min, np.max))
        return Bounds(low, high, self.dtype.fraction)

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        channels = np.arange(len(self.rows)) if self.table.ndim == 2 else 0
        return np.asarray(self.rows[channels, values[0] - self.low])

    @override
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        # the place in the table is computed as well
        return max(result.magnitude, inputs[0].magnitude + abs(self.low))

    @override
    def part(
        self, channels: NDArray[np.int64], widths: Sequence[int], positions: int
    ) -> tuple[Node, list[NDArray[np.int64]]]:
        own = self if self.table.ndim == 1 else replace(self, table=self.table[channels])
        return own, [channel_index(channels, positions, widths[0])]

    @override
    def result_type(self, bounds: Bounds) -> FixedPoint:
        return self.dtype

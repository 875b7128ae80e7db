"""Ops that only say differently what is where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.ops.base import Node, Shape

__all__ = ["Flatten"]


@dataclass(frozen=True)
class Flatten(Node):
    """Feature map to vector, in (height, width, channel) order."""

    op = "flatten"

    @override
    def shape(self, inputs: list[Shape]) -> Shape:
        return (int(np.prod(inputs[0])),)

    @override
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        positions = shapes[0][0] * shapes[0][1]
        return Bounds(
            np.tile(inputs[0].low, positions), np.tile(inputs[0].high, positions), inputs[0].fraction
        )

    @override
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        return values[0].reshape(len(values[0]), -1)

    @override
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        return result.magnitude

    @override
    def part(
        self, channels: NDArray[np.int64], widths: Sequence[int], positions: int
    ) -> tuple[Node, list[NDArray[np.int64]]]:
        return self, [np.asarray(channels)]

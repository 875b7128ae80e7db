"""Sliding windows: which cells of a map one position of the result is made of."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import override

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.ir.ops.base import Node, Shape

__all__ = ["NO_PADDING", "Padding", "SlidingNode", "Window", "same_padding", "window_shape"]

Padding = tuple[tuple[int, int], tuple[int, int]]
NO_PADDING: Padding = ((0, 0), (0, 0))


@dataclass(frozen=True)
class Window:
    """A sliding window.

    Parameters
    ----------
    size, strides : tuple of int
        Rows and columns.
    padding : tuple
        Zeros around the map: ((top, bottom), (left, right)).
    """

    size: tuple[int, int]
    strides: tuple[int, int]
    padding: Padding = NO_PADDING

    @property
    def pointwise(self) -> bool:
        """Whether every position of the map is a window of its own."""
        return self.size == (1, 1) and self.strides == (1, 1)

    @property
    def cells(self) -> int:
        """Positions in a window."""
        return self.size[0] * self.size[1]

    def shape(self, size: Shape) -> tuple[int, int]:
        """Height and width of the result for a map (height, width, ...)."""
        rows, columns = (
            (n + before + after - k) // s + 1
            for n, (before, after), k, s in zip(size[:2], self.padding, self.size, self.strides, strict=True)
        )
        return rows, columns

    def present(self, size: Shape) -> float:
        """Part of a window's cells that lie inside the map, over all positions."""
        part = 1.0
        for results, n, (before, _), k, s in zip(
            self.shape(size), size[:2], self.padding, self.size, self.strides, strict=True
        ):
            cells = np.arange(results)[:, None] * s - before + np.arange(k)
            part *= float(np.mean((cells >= 0) & (cells < n)))
        return part

    def views(self, x: IntArray) -> IntArray:
        """View of ``x`` (events, height, width, channels) as (events, rows, columns, channels, *size)."""
        view = np.lib.stride_tricks.sliding_window_view(x, self.size, axis=(1, 2))
        return view[:, :: self.strides[0], :: self.strides[1]]


def window_shape(size: Shape, window: tuple[int, int], strides: tuple[int, int], padding: Padding) -> Shape:
    """Height and width of a sliding window's output."""
    return Window(window, strides, padding).shape(size)


def same_padding(size: Shape, window: tuple[int, int], strides: tuple[int, int]) -> Padding:
    """Zeros that TensorFlow's padding ``same`` puts around a map of a height and width."""
    (top, bottom), (left, right) = (
        (total // 2, total - total // 2)
        for total in (
            max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size[:2], window, strides, strict=True)
        )
    )
    return (top, bottom), (left, right)


@dataclass(frozen=True)
class SlidingNode(Node):
    """Base of the ops that slide a window over a map."""

    @property
    @abstractmethod
    def sliding(self) -> Window:
        """The window."""

    @override
    def positions(self, shapes: list[Shape]) -> int:
        return self.sliding.cells

    @abstractmethod
    def reads(self, varying: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which channels of which cells of the window are read.

        Parameters
        ----------
        varying : numpy.ndarray of bool, shape (channels,)
            Channels of the input that take more than one value.
        wanted : numpy.ndarray of bool, shape (channels,)
            Channels of the output that are needed.

        Returns
        -------
        numpy.ndarray of bool, shape (*window, channels)
        """

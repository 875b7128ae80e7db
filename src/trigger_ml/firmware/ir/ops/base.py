"""What every op of a network says of itself: all that an engine may ask without knowing the op."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import FixedPoint, IntArray
from trigger_ml.firmware.ir.bounds import Bounds

__all__ = ["Node", "Shape", "channel_index"]

Shape = tuple[int, ...]


def channel_index(channels: NDArray[np.int64], positions: int, width: int) -> NDArray[np.int64]:
    """Where some channels of every position lie in the flat integers (positions * width) of a window."""
    return (np.arange(positions)[:, None] * width + channels).ravel()


@dataclass(frozen=True)
class Node(ABC):
    """Base of all ops.

    There is no default for what an op computes: one that leaves a method out cannot be made.

    Parameters
    ----------
    name : str
        Unique in the network; that of the model's layer it came from.
    inputs : tuple of str
        Names of the nodes whose output this node reads.
    """

    op: ClassVar[str]
    since: ClassVar[int] = 1
    """First version of the file format that knows the op."""

    name: str
    inputs: tuple[str, ...]

    @abstractmethod
    def shape(self, inputs: list[Shape]) -> Shape:
        """Shape of one event's output, from those of the inputs."""

    @abstractmethod
    def bounds(self, inputs: list[Bounds], shapes: list[Shape]) -> Bounds:
        """Values that the output can take, from those of the inputs.

        Raises
        ------
        OverflowError
            If a sum does not fit into 62 bits.
        """

    @abstractmethod
    def evaluate(self, values: list[IntArray], fractions: list[int]) -> IntArray:
        """Output for some events.

        Parameters
        ----------
        values : list of numpy.ndarray of int64, shape (events, *shape)
            The inputs' integers.
        fractions : list of int
            Fraction bits of each input.

        Returns
        -------
        numpy.ndarray of int64, shape (events, *shape)
            In units of the last bit of :meth:`bounds`.
        """

    @abstractmethod
    def partial_sums(self, inputs: list[Bounds], shapes: list[Shape], result: Bounds) -> int:
        """Bound of every sum that is formed on the way, in units of the last bit of the exact result.

        Parameters
        ----------
        inputs : list of Bounds
        shapes : list of tuple of int
            Of the inputs.
        result : Bounds
            Of the output.
        """

    @abstractmethod
    def part(
        self, channels: NDArray[np.int64], widths: Sequence[int], positions: int
    ) -> tuple["Node", list[NDArray[np.int64]]]:
        """An op that computes some of the output's channels for one window, and what it reads.

        Parameters
        ----------
        channels : numpy.ndarray of int64
            Of the output.
        widths : sequence of int
            Channels of each input.
        positions : int
            Positions of the window.

        Returns
        -------
        node : Node
        reads : list of numpy.ndarray of int64
            For each input, the places of what is read in the window's flat integers (positions * width).
        """

    @property
    def version(self) -> int:
        """First version of the file format that knows the op with its settings."""
        later = [
            int(item.metadata["since"])
            for item in fields(self)
            if "since" in item.metadata and getattr(self, item.name) != item.default
        ]
        return max([self.since, *later])

    def result_type(self, bounds: Bounds) -> FixedPoint:
        """Type of the output: the smallest that holds the exact result, where the op declares none."""
        return bounds.dtype

    def positions(self, shapes: list[Shape]) -> int:
        """Positions of its first input that one position of the output is made of."""
        return 1

    @property
    def padded(self) -> bool:
        """Whether a window may reach over the map's edge."""
        return False

    def outside(self, bounds: Bounds) -> int:
        """What a window holds beyond the map's edge, from the intervals of the input."""
        return 0

    def alone(self) -> "Node":
        """The op on a single window, without padding and strides."""
        return self

    def alike(self, widths: Sequence[int]) -> list[slice]:
        """Groups of output channels that are computed in the same way.

        Parameters
        ----------
        widths : sequence of int
            Channels of each input.
        """
        return [slice(None)]

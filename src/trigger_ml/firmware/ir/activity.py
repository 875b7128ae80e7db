"""Which bits of a network can change at all, and which of them a layer reads.

Pruning silences channels: a filter whose result is clipped to one value needs no logic, and what only it
would have read needs no memory. Synthesis finds that; a prediction must know it too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import Affine, Node, SlidingNode

__all__ = ["Reads", "channel_bits", "live", "reads", "trimmed_matrix"]


def channel_bits(bounds: Bounds) -> IntArray:
    """Bits of each channel's integers; 0 where it has one value only."""
    low, high = bounds.low, bounds.high
    reach = np.maximum(np.maximum(high, 0), np.where(low < 0, -low - 1, 0)).astype(np.float64)
    bits = np.ceil(np.log2(reach + 1)).astype(np.int64) + (low < 0)
    return np.where(low == high, 0, bits)


def live(network: Network, name: str) -> NDArray[np.bool_]:
    """Channels of a node that take more than one value."""
    bounds = network.bounds[name]
    return np.asarray(bounds.low != bounds.high)


def _source_bits(network: Network, node: Affine) -> IntArray:
    bounds = network.bounds[node.inputs[0]]
    # a window of one cell never reaches over the map's edge
    return channel_bits(bounds.with_zero() if node.padded and len(node.taps) > 1 else bounds)


def trimmed_matrix(network: Network, node: Affine, last: Node) -> tuple[IntArray, float]:
    """Weights that cost something, and the mean width of what they multiply.

    Parameters
    ----------
    network : Network
    node : Affine
    last : Node
        Last node computed with it: outputs of it that are constant need no weights.

    Returns
    -------
    matrix : numpy.ndarray of int64, shape (inputs, outputs)
    bits : float
        Of the inputs read; 0 if there are none.
    """
    matrix = node.matrix[:, live(network, last.name)]
    bits = np.tile(_source_bits(network, node), len(node.taps))
    matrix, bits = matrix[bits > 0], bits[bits > 0]
    used = (matrix != 0).any(axis=1)
    return matrix, float(bits[used].mean()) if used.any() else 0.0


@dataclass(frozen=True, eq=False)
class Reads:
    """Bits that a sliding window reads, by row, column and channel of the window.

    Parameters
    ----------
    bits : numpy.ndarray of int64, shape (rows, columns, channels)
        0 where a position's channel is not read.
    """

    bits: IntArray

    @property
    def channels(self) -> IntArray:
        """Bits of each channel of one position that any tap reads, shape (channels,)."""
        return np.asarray(self.bits.max(axis=(0, 1)))

    @property
    def position(self) -> int:
        """Bits of one position that any tap reads."""
        return int(self.channels.sum())

    @property
    def rows(self) -> IntArray:
        """Bits of one position that any column of a row reads, shape (rows,)."""
        return np.asarray(self.bits.max(axis=1).sum(axis=1))

    @property
    def taps(self) -> int:
        """Bits of a whole window."""
        return int(self.bits.sum())


def reads(network: Network, node: SlidingNode, last: Node) -> Reads:
    """What ``node`` reads of its window.

    Parameters
    ----------
    network : Network
    node : SlidingNode
        First node computed on the window.
    last : Node
        Last one.
    """
    channels = channel_bits(network.bounds[node.inputs[0]].with_zero())
    return Reads(channels * node.reads(live(network, node.inputs[0]), live(network, last.name)))

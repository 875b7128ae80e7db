"""What the logic of each op consists of, for one position: from it lookup tables are predicted."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.firmware.cost.regression import matrix_cost
from trigger_ml.firmware.ir.activity import channel_bits, live, trimmed_matrix
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

__all__ = ["PREDICTION", "kernel_features"]

Features = NDArray[np.float64]
"""Full adders of the weights; lookup tables of other logic; roundings; clipped bits; compared bits."""


def _features(adders: float = 0.0, tables: float = 0.0, quantizer: tuple[float, ...] = (0, 0, 0)) -> Features:
    return np.array([adders, tables, *quantizer], dtype=np.float64)


def _nothing(network: Network, node: Node, last: Node, lanes: int) -> Features:
    """For what only passes integers on: wires, and registers that the module around it counts."""
    return _features()


def _affine(network: Network, node: Affine, last: Node, lanes: int) -> Features:
    matrix, bits = trimmed_matrix(network, node, last)
    if node.separate:
        # channels share nothing
        cost = sum(matrix_cost(column[column != 0][:, None], bits) for column in matrix.T if column.any())
    else:
        cost = matrix_cost(matrix, bits)
    biased = np.count_nonzero(node.bias[live(network, last.name)])
    return _features(adders=cost + 0.5 * float(biased) * network.types[node.name].width)


def _quantize(network: Network, node: Quantize, last: Node, lanes: int) -> Features:
    """Roundings, clipped bits, bits compared with the limits.

    Clipping at one end sets or clears the register, which is free; at both ends it takes a lookup table
    for each bit.
    """
    source, target = network.bounds[node.inputs[0]], node.dtype
    dropped = source.fraction - target.fraction
    low, high = (np.floor(np.ldexp(v.astype(np.float64), -dropped)) for v in (source.low, source.high))
    below, above = low < target.minimum, high > target.maximum
    varies = live(network, node.name)
    spare = np.maximum(0, channel_bits(source) - dropped - target.width)
    both = varies & below & above
    rounded = np.count_nonzero(varies) * int(dropped > 0)
    compared = float((spare * varies * (below | above)).sum())
    return _features(quantizer=(float(rounded), float(target.width * np.count_nonzero(both)), compared))


def _source_bits(network: Network, node: Node) -> NDArray[np.int64]:
    return channel_bits(network.bounds[node.inputs[0]])


def _add(network: Network, node: Add, last: Node, lanes: int) -> Features:
    return _features(tables=float((len(node.inputs) - 1) * channel_bits(network.bounds[node.name]).sum()))


def _maximum(network: Network, node: MaxPool2D, last: Node, lanes: int) -> Features:
    return _features(tables=float(2 * (node.sliding.cells - 1) * _source_bits(network, node).sum()))


def _average(network: Network, node: AveragePool2D, last: Node, lanes: int) -> Features:
    bits = _source_bits(network, node)
    return _features(tables=float((node.sliding.cells - 1) * (bits + (bits > 0)).sum()))


def _global_average(network: Network, node: GlobalAveragePool, last: Node, lanes: int) -> Features:
    bits = _source_bits(network, node)
    return _features(tables=float((lanes - 1) * (bits + (bits > 0)).sum()))


def _global_maximum(network: Network, node: GlobalMaxPool, last: Node, lanes: int) -> Features:
    return _features(tables=float(2 * (lanes - 1) * _source_bits(network, node).sum()))


def _multiply(network: Network, node: Multiply, last: Node, lanes: int) -> Features:
    """A row of full adders for each bit of the narrower factor but the first."""
    first, second = (channel_bits(network.bounds[name]) for name in node.inputs)
    wide, narrow = np.maximum(first, second), np.minimum(first, second)
    wanted = live(network, last.name)
    return _features(tables=float((np.maximum(0, narrow - 1) * (wide + 1) * wanted).sum()))


def _lookup(network: Network, node: Lookup, last: Node, lanes: int) -> Features:
    """Lookup tables of six inputs that hold the part of the table that each channel reads."""
    bounds, rows = network.bounds[node.inputs[0]], node.rows
    total = 0.0
    for channel in np.flatnonzero(live(network, last.name)):
        low, high = bounds.low[channel] - node.low, bounds.high[channel] - node.low
        total += table_cost(rows[channel % len(rows), low : high + 1])
    return _features(tables=total)


def table_cost(entries: NDArray[np.int64]) -> float:
    """Lookup tables of six inputs that hold a table.

    A bit that is the same over a whole block of 64 entries needs none for the block, nor one that equals the
    same bit of a block before.
    """
    bits = max(1, int(np.abs(entries).max(initial=0)).bit_length() + int(entries.min(initial=0) < 0))
    size = 1 << max(6, (len(entries) - 1).bit_length())
    padded = np.pad(entries, (0, size - len(entries)), mode="edge")
    blocks = (padded.reshape(-1, 64)[:, :, None] >> np.arange(bits)) & 1
    total = 0.0
    for bit in range(bits):
        distinct = np.unique(blocks[:, :, bit], axis=0)
        varying = distinct[(distinct != distinct[:, :1]).any(axis=1)]
        # what chooses among blocks: four of them in one more table
        total += len(varying) + (len(blocks) - 1) / 3 * (len(distinct) > 1)
    return total


PREDICTION = Registry[Callable[[Network, Any, Node, int], Features]](
    "the prediction of resources",
    {
        Input: _nothing,
        Conv2D: _affine,
        Dense: _affine,
        Quantize: _quantize,
        Add: _add,
        # the handshake of the streams that meet is counted with their module
        Concatenate: _nothing,
        Multiply: _multiply,
        Lookup: _lookup,
        MaxPool2D: _maximum,
        AveragePool2D: _average,
        GlobalMaxPool: _global_maximum,
        GlobalAveragePool: _global_average,
        Flatten: _nothing,
    },
)


def kernel_features(network: Network, nodes: tuple[Node, ...], lanes: int = 1) -> Features:
    """What one kernel consists of, each with a coefficient in lookup tables.

    Parameters
    ----------
    network : Network
    nodes : tuple of Node
        What the kernel computes, in order.
    lanes : int
        Positions that a global pooling adds up at once.

    Returns
    -------
    numpy.ndarray, shape (5,)
        Full adders of the weights; lookup tables of other nodes; roundings; clipped bits; compared bits.
    """
    parts = [PREDICTION.of(node)(network, node, nodes[-1], lanes) for node in nodes]
    return np.asarray(np.sum(parts, axis=0)) if parts else _features()

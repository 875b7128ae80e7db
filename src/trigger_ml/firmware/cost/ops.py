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
    Input,
    MaxPool2D,
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
        MaxPool2D: _maximum,
        AveragePool2D: _average,
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

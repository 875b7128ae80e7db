"""The golden reference: a network evaluated in int64, with code plain enough to check by eye."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from trigger_ml.core.fixed_point import IntArray, requantize, shift
from trigger_ml.firmware.ir.network import (
    Add,
    AveragePool2D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    Input,
    MaxPool2D,
    Network,
    Node,
    Quantize,
)

__all__ = ["evaluate", "logits"]


def _windows(x: IntArray, window: tuple[int, ...], strides: tuple[int, int]) -> IntArray:
    """View of ``x`` (events, height, width, channels) as (events, rows, columns, channels, *window)."""
    view = np.lib.stride_tricks.sliding_window_view(x, window, axis=(1, 2))
    return view[:, :: strides[0], :: strides[1]]


def _conv2d(x: IntArray, node: Conv2D, source_fraction: int) -> IntArray:
    x = np.pad(x, ((0, 0), *node.padding, (0, 0)))
    kernel = node.full_kernel()
    height, width = kernel.shape[:2]
    rows = (x.shape[1] - height) // node.strides[0] + 1
    columns = (x.shape[2] - width) // node.strides[1] + 1
    total = np.zeros((len(x), rows, columns, kernel.shape[3]), dtype=np.int64)
    for i in range(height):
        for j in range(width):
            if not kernel[i, j].any():
                continue
            last_row, last_column = i + (rows - 1) * node.strides[0], j + (columns - 1) * node.strides[1]
            tap = x[:, i : last_row + 1 : node.strides[0], j : last_column + 1 : node.strides[1]]
            total += tap @ kernel[i, j]
    return _with_bias(total, node, source_fraction)


def _with_bias(total: IntArray, node: Conv2D | Dense, source_fraction: int) -> IntArray:
    places = node.accumulator_fraction(source_fraction) - source_fraction - node.kernel_type.fraction
    return shift(total, places) + node.aligned_bias(source_fraction)


def evaluate_node(node: Node, values: list[IntArray], fractions: list[int]) -> IntArray:
    x = values[0]
    match node:
        case Conv2D():
            return _conv2d(x, node, fractions[0])
        case Dense():
            return _with_bias(x @ node.kernel, node, fractions[0])
        case Quantize():
            return requantize(x, fractions[0], node.dtype, node.rounding, node.overflow)
        case Add():
            fraction = max(fractions)
            return np.sum([shift(v, fraction - f) for v, f in zip(values, fractions, strict=True)], axis=0)
        case MaxPool2D():
            return _windows(x, node.window, node.strides).max(axis=(-2, -1))
        case AveragePool2D():
            return _windows(x, node.window, node.strides).sum(axis=(-2, -1))
        case GlobalAveragePool():
            return x.sum(axis=(1, 2))
        case Flatten():
            return x.reshape(len(x), -1)
    raise TypeError(f"the interpreter does not know {type(node).__name__}")


def evaluate(network: Network, inputs: IntArray) -> dict[str, IntArray]:
    """Every node's output.

    Parameters
    ----------
    network : Network
    inputs : numpy.ndarray of int, shape (events, *network.input.size)
        Integers of the input type, in units of its last bit.

    Returns
    -------
    dict of str to numpy.ndarray of int64
        By node name; in units of ``2**-network.types[name].fraction``.

    Raises
    ------
    ValueError
        If the inputs have another shape or leave the input type's range.
    """
    x = np.asarray(inputs)
    dtype = network.input.dtype
    if x.shape[1:] != network.input.size or x.dtype.kind not in "iu":
        raise ValueError(
            f"inputs are {x.dtype} {x.shape}, the network takes integers (n, {network.input.size})"
        )
    if x.size and not dtype.contains(int(x.min()), int(x.max())):
        raise ValueError(f"inputs span [{x.min()}, {x.max()}], outside {dtype}")
    values: dict[str, IntArray] = {}
    for node in network.nodes:
        if isinstance(node, Input):
            values[node.name] = x.astype(np.int64)
            continue
        sources = [values[name] for name in node.inputs]
        fractions = [network.bounds[name].fraction for name in node.inputs]
        values[node.name] = evaluate_node(node, sources, fractions)
    return values


def logits(network: Network, inputs: IntArray, *, batch: int = 64, threads: int = 2) -> dict[str, IntArray]:
    """The outputs alone.

    Parameters
    ----------
    network : Network
    inputs : numpy.ndarray of int, shape (events, *network.input.size)
    batch : int
        Events evaluated at once; bounds the memory, and few stay in the caches.
    threads : int
        Batches evaluated side by side.

    Returns
    -------
    dict of str to numpy.ndarray of int64
        For each output of the network; see :func:`evaluate`.
    """

    def one(start: int) -> dict[str, IntArray]:
        values = evaluate(network, inputs[start : start + batch])
        return {name: values[name] for name in network.outputs}

    if not len(inputs):
        return {name: np.zeros((0, *network.shapes[name]), dtype=np.int64) for name in network.outputs}
    _ = network.bounds  # computed once, before the threads ask for it
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(one, range(0, len(inputs), batch)))
    return {name: np.concatenate([part[name] for part in parts]) for name in network.outputs}

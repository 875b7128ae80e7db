"""Inputs at the edge of what can occur, where arithmetic goes wrong first."""

import numpy as np
from numpy.typing import NDArray

from trigger_ml.firmware.ir.network import Input

__all__ = ["corner_inputs"]


def _patterns(shape: tuple[int, ...]) -> dict[str, NDArray[np.bool_]]:
    """Alternating extremes: where the maximum is."""
    index = np.indices(shape[:-1] if len(shape) == 3 else shape)
    patterns = {"checkerboard": index.sum(axis=0) % 2 == 0}
    if len(shape) == 3:
        patterns["row stripes"] = index[0] % 2 == 0
        patterns["column stripes"] = index[1] % 2 == 0
        patterns["left half"] = index[1] < shape[1] // 2
        patterns["top half"] = index[0] < shape[0] // 2
    return patterns


def _hot_cells(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Corners, middles of the edges, and the cells around the centre."""
    if len(shape) == 1:
        return sorted({(0,), (shape[0] // 2,), (shape[0] - 1,)})
    rows, columns = ((0, 1, n // 2 - 1, n // 2, n - 1) for n in shape[:2])
    cells = {(r % shape[0], c % shape[1]) for r in rows for c in columns}
    return sorted(cells)


def corner_inputs(node: Input, *, random: int, seed: int) -> tuple[NDArray[np.int64], list[str]]:
    """Corner inputs of a network.

    All zeros, all maximum, alternating extremes in both phases (checkerboard, stripes, halves), single
    hot cells at corners, edges and centre, the last bit everywhere, and random integers of the full
    range.

    Parameters
    ----------
    node : Input
    random : int
        Number of random inputs; half of them have independent cells, half are mostly extremes.
    seed : int

    Returns
    -------
    counts : numpy.ndarray of int64, shape (inputs, *node.size)
    names : list of str
    """
    low, high = node.dtype.minimum, node.dtype.maximum
    shape = node.size
    inputs: dict[str, NDArray[np.int64]] = {
        "all zeros": np.zeros(shape, dtype=np.int64),
        "all maximum": np.full(shape, high, dtype=np.int64),
        "last bit everywhere": np.ones(shape, dtype=np.int64),
    }
    if low < 0:
        inputs["all minimum"] = np.full(shape, low, dtype=np.int64)
    for name, pattern in _patterns(shape).items():
        cells = pattern[..., np.newaxis] if len(shape) == 3 else pattern
        inputs[name] = np.broadcast_to(np.where(cells, high, low), shape).astype(np.int64)
        inputs[f"{name}, other phase"] = np.broadcast_to(np.where(cells, low, high), shape).astype(np.int64)
    for cell in _hot_cells(shape):
        for channel in range(shape[-1]) if len(shape) == 3 else (None,):
            position = cell if channel is None else (*cell, channel)
            inputs[f"hot cell {position}"] = np.zeros(shape, dtype=np.int64)
            inputs[f"hot cell {position}"][position] = high
    rng = np.random.default_rng(seed)
    for number in range(random):
        values = rng.integers(low, high, size=shape, endpoint=True)
        if number % 2:
            values = np.where(rng.random(shape) < 0.9, rng.choice([low, high], size=shape), values)
        inputs[f"random {number}"] = values
    return np.stack(list(inputs.values())), list(inputs)

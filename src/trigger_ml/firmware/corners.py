"""Inputs at the edge of what can occur, where arithmetic goes wrong first."""

import numpy as np
from numpy.typing import NDArray

from trigger_ml.firmware.ir.network import Input

__all__ = ["corner_inputs", "random_inputs"]


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


def random_inputs(node: Input, n: int, rng: np.random.Generator) -> NDArray[np.integer]:
    """Random inputs of four kinds, one after the other.

    Independent cells; cells of which nine in ten are extremes; few cells lit, as by a shower; and corner
    inputs in which one cell in thirty-two is random.

    Parameters
    ----------
    node : Input
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of int, shape (n, *node.size)
        Of the narrowest type.
    """
    low, high = node.dtype.minimum, node.dtype.maximum
    kind = np.result_type(np.min_scalar_type(low), np.min_scalar_type(high))
    shape = (n, *node.size)
    values = rng.integers(low, high, size=shape, endpoint=True, dtype=kind)
    chance = rng.integers(0, 256, size=shape, dtype=np.uint8)
    extremes, lit, corners = slice(1, None, 4), slice(2, None, 4), slice(3, None, 4)
    values[extremes] = np.where(
        chance[extremes] < 230, np.where(chance[extremes] & 1, low, high).astype(kind), values[extremes]
    )
    share = rng.integers(0, 64, size=(len(values[lit]), *(1 for _ in node.size)), dtype=np.uint8)
    values[lit] = np.where(chance[lit] < share, values[lit], kind.type(max(low, 0)))
    patterns, _ = corner_inputs(node, random=1, seed=0)
    chosen = patterns.astype(kind)[rng.integers(0, len(patterns), len(values[corners]))]
    values[corners] = np.where(chance[corners] < 8, values[corners], chosen)
    return np.asarray(values)

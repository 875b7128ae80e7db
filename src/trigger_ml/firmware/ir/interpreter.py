"""The golden reference: a network evaluated in int64, node by node, each by the plain code of its op."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.ir.network import Input, Network

__all__ = ["evaluate", "logits"]


def evaluate(network: Network, inputs: NDArray[np.integer]) -> dict[str, IntArray]:
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
        values[node.name] = node.evaluate(sources, fractions)
    return values


def logits(
    network: Network, inputs: NDArray[np.integer], *, batch: int = 64, threads: int = 2
) -> dict[str, IntArray]:
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

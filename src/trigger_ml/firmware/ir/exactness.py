"""Proof that float32 arithmetic reproduces the integer network.

A float32 number holds every integer up to ``2**24`` (and any power of two times it) exactly. A sum of
products is therefore exact, in whatever order it is formed and with or without fused multiply-add, as
long as every partial sum stays within that limit in units of its own last bit. The bound used here is
the sum of the absolute values of all terms, from the intervals of :attr:`Network.bounds`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.fixed_point import IntArray, Rounding
from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.network import (
    Add,
    Affine,
    AveragePool2D,
    Conv2D,
    GlobalAveragePool,
    Network,
    Node,
    Quantize,
)

__all__ = [
    "FLOAT32_LIMIT",
    "FLOAT64_LIMIT",
    "LayerProof",
    "affine_reach",
    "partial_sums",
    "prove_float32_exact",
    "taps_of",
]

FLOAT32_LIMIT = 1 << 24
FLOAT64_LIMIT = 1 << 53


@dataclass(frozen=True)
class LayerProof:
    """Bound of one layer's partial sums.

    Parameters
    ----------
    name, op : str
    bound : int
        No partial sum exceeds it, in units of the last bit of the layer's exact result.
    limit : int
        From here on, float32 does not represent every integer.
    """

    name: str
    op: str
    bound: int
    limit: int = FLOAT32_LIMIT

    @property
    def exact(self) -> bool:
        """Whether float32 arithmetic is exact in this layer."""
        return self.bound < self.limit

    @property
    def bits_spare(self) -> float:
        """Binary logarithm of limit over bound; negative where the proof fails."""
        return float(np.log2(self.limit / max(self.bound, 1)))


def taps_of(node: Affine) -> IntArray:
    """Kernel as (taps, channels_in, channels_out), also when it is depthwise."""
    kernel = node.full_kernel() if isinstance(node, Conv2D) else node.kernel
    return kernel.reshape(-1, *kernel.shape[-2:])


def _magnitudes(bounds: Bounds) -> NDArray[np.float64]:
    return np.maximum(np.abs(bounds.low), np.abs(bounds.high)).astype(np.float64)


def affine_reach(taps: IntArray, source: Bounds) -> NDArray[np.float64]:
    """Sum of the absolute values of all products, per output channel, in units of products.

    Parameters
    ----------
    taps : numpy.ndarray of int64, shape (taps, channels_in, channels_out)
    source : Bounds
        Of the layer's input.

    Returns
    -------
    numpy.ndarray of float64, shape (channels_out,)
        Exact below 2**53, never too small above.
    """
    reach = _magnitudes(source) @ np.abs(taps).sum(axis=0, dtype=np.float64)
    return np.asarray(np.where(reach < FLOAT64_LIMIT, reach, np.nextafter(reach * (1 + 1e-12), np.inf)))


def partial_sums(network: Network, node: Node) -> int:
    """Bound of a node's partial sums in units of the last bit of its exact result."""
    sources = [network.bounds[name] for name in node.inputs]
    fraction = network.bounds[node.name].fraction
    match node:
        case Affine():
            places = fraction - sources[0].fraction - node.kernel_type.fraction
            products = np.ldexp(affine_reach(taps_of(node), sources[0]), places)
            return int(np.ceil((products + np.abs(node.aligned_bias(sources[0].fraction))).max()))
        case Add():
            return int(np.sum([_magnitudes(b.aligned(fraction)) for b in sources], axis=0).max())
        case AveragePool2D():
            return sources[0].magnitude * node.window[0] * node.window[1]
        case GlobalAveragePool():
            height, width = network.shapes[node.inputs[0]][:2]
            return sources[0].magnitude * height * width
        case Quantize():
            # Rounding.RND adds a half of the coarser last bit, which may be half a unit of the finer one
            reach = 2 * sources[0].magnitude + 1 if node.rounding is Rounding.RND else sources[0].magnitude
            return max(reach, network.bounds[node.name].magnitude)
    return network.bounds[node.name].magnitude


def prove_float32_exact(network: Network) -> tuple[LayerProof, ...]:
    """Bound of every layer's partial sums against what float32 holds exactly.

    Parameters
    ----------
    network : Network

    Returns
    -------
    tuple of LayerProof
        One for each node, in order. Where ``exact`` is false, the ONNX emulator computes the layer in
        several exact parts and adds them in float64.
    """
    return tuple(LayerProof(node.name, node.op, partial_sums(network, node)) for node in network.nodes)

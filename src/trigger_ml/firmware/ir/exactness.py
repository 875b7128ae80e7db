"""Proof that float32 arithmetic reproduces the integer network.

A float32 number holds every integer up to ``2**24`` (and any power of two times it) exactly. A sum of
products is therefore exact, in whatever order it is formed and with or without fused multiply-add, as
long as every partial sum stays within that limit in units of its own last bit. The bound used here is
the sum of the absolute values of all terms, from the intervals of :attr:`Network.bounds`.
"""

from dataclasses import dataclass

import numpy as np

from trigger_ml.firmware.ir.bounds import EXACT_FLOAT64
from trigger_ml.firmware.ir.network import Network, Node

__all__ = ["FLOAT32_LIMIT", "FLOAT64_LIMIT", "LayerProof", "partial_sums", "prove_float32_exact"]

FLOAT32_LIMIT = 1 << 24
FLOAT64_LIMIT = EXACT_FLOAT64


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


def partial_sums(network: Network, node: Node) -> int:
    """Bound of a node's partial sums in units of the last bit of its exact result."""
    inputs = [network.bounds[name] for name in node.inputs]
    shapes = [network.shapes[name] for name in node.inputs]
    return node.partial_sums(inputs, shapes, network.bounds[node.name])


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

"""Where the generated logic ends: what an op must not exceed, checked before any work."""

import numpy as np

from trigger_ml.core.errors import MappingError
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import Affine, Conv2D, Flatten, Lookup, Node, SlidingNode
from trigger_ml.firmware.ir.ops.lookup import MAX_ENTRIES

__all__ = [
    "convolution_limits", "flat_limits", "no_limits", "pooling_limits", "refuse", "table_limits", "weight_limits",
]  # fmt: skip

# alkaid keeps constants of an addition in 32 bits, weights in a float's 24
MAX_BIAS, MAX_WEIGHT = 2**31, 2**24
# above this the wide register and its kernel are no longer a sensible circuit
MAX_FLAT = 4096


def refuse(node: Node, why: str, remedy: str) -> MappingError:
    """Error that names a node; to be raised by the caller."""
    return MappingError(f"layer {node.name} ({node.op})", why, remedy)


def no_limits(network: Network, node: Node) -> None:
    """For an op that has logic of any size."""


def weight_limits(network: Network, node: Affine) -> None:
    """Refuse weights and biases wider than alkaid's constants."""
    source = network.bounds[node.inputs[0]].fraction
    bias = np.abs(node.aligned_bias(source)).max(initial=0)
    places = node.accumulator_fraction(source) - source
    weight = np.abs(node.kernel).max(initial=0) << (places - node.kernel_type.fraction)
    if bias >= MAX_BIAS or weight >= MAX_WEIGHT * 2**64:
        raise refuse(node, f"bias {bias} needs more than 32 bits", "Use fewer bias bits")
    if np.abs(node.kernel).max(initial=0) >= MAX_WEIGHT:
        raise refuse(node, "weights need more than 24 bits", "Use fewer weight bits")


def convolution_limits(network: Network, node: Conv2D) -> None:
    """Refuse, besides, more zeros around a map than a window can reach."""
    weight_limits(network, node)
    pooling_limits(network, node)


def pooling_limits(network: Network, node: SlidingNode) -> None:
    """Refuse more padding than a window can reach over."""
    window = node.sliding
    for padded, size, axis in zip(window.padding, window.size, ("vertical", "horizontal"), strict=True):
        if sum(padded) > size - 1:
            raise refuse(
                node,
                f"{axis} padding {padded} exceeds what a window of {size} can reach",
                "Use 'same' or 'valid' padding",
            )


def table_limits(network: Network, node: Lookup) -> None:
    """Refuse a table that no sensible logic holds for each channel."""
    bounds = network.bounds[node.inputs[0]]
    entries = int((bounds.high - bounds.low).max()) + 1
    if entries > MAX_ENTRIES:
        raise refuse(
            node,
            f"its table has {entries} entries (limit {MAX_ENTRIES})",
            "Quantize its input to fewer bits",
        )


def flat_limits(network: Network, node: Flatten) -> None:
    """Refuse a vector that no sensible register holds."""
    if network.shapes[node.name][0] > MAX_FLAT:
        raise refuse(
            node,
            f"{network.shapes[node.name][0]} values would be held in one register (limit {MAX_FLAT})",
            "Use global average pooling, or stride down before the dense layer",
        )

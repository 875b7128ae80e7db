"""The fixed-point network: what the firmware computes, free of any framework or vendor.

A :class:`Network` is a list of nodes in topological order. Each node produces integers whose value is
``n * 2**-fraction``. Nodes that sum (convolution, dense, add, pooling) are exact: their type is derived
from the interval of values that can occur, so they never round or overflow. Only :class:`Quantize`
loses bits, and says how. The ops are in :mod:`trigger_ml.firmware.ir.ops`, the file format is described in
``docs/network-format.md``.

Feature maps are (height, width, channels); all arrays of events have a leading event axis.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.ops import (
    NODE_TYPES,
    Add,
    Affine,
    AveragePool2D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    Input,
    MaxPool2D,
    Node,
    Quantize,
    Shape,
)

# the ops' usual names, so that who builds a network needs one import
__all__ = [
    "FORMAT_VERSION", "NODE_TYPES", "Add", "Affine", "AveragePool2D", "Conv2D", "Dense", "Flatten",
    "GlobalAveragePool", "Input", "MaxPool2D", "Network", "Node", "Quantize", "Shape", "require_some",
]  # fmt: skip

FORMAT_VERSION = max(cls.since for cls in NODE_TYPES.values())
"""Newest version of the file format: that of the op that came last."""


def require_some(node: Node, shape: Shape) -> None:
    """Refuse a node whose output is empty, as that of a window larger than its map.

    Raises
    ------
    MappingError
    """
    if min(shape, default=1) < 1:
        raise MappingError(
            f"layer {node.name} ({node.op})",
            f"its output {shape} is empty",
            "Use a smaller window or 'same' padding, fewer strides before it, or a larger input",
        )


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes in topological order, the first one the input.

    Parameters
    ----------
    nodes : tuple of Node
    outputs : tuple of str
        Names of the nodes whose integers leave the firmware (logits, not probabilities).
    metadata : mapping
        JSON values that a user of the network needs: task, camera, grid, how charge becomes counts.
        See ``docs/network-format.md`` for the keys.

    Raises
    ------
    ValueError
        If names are not unique, or a node reads one that does not come before it.
    MappingError
        If a layer's output is empty, as that of a window larger than its map.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    metadata: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for node in self.nodes:
            missing = [name for name in node.inputs if name not in seen]
            if missing:
                raise ValueError(f"node {node.name!r} reads {missing} before they are computed")
            if node.name in seen:
                raise ValueError(f"two nodes are named {node.name!r}")
            seen.add(node.name)
        if not isinstance(self.nodes[0], Input) or any(isinstance(n, Input) for n in self.nodes[1:]):
            raise ValueError("the first node, and no other, must be the input")
        if unknown := set(self.outputs) - seen:
            raise ValueError(f"outputs {sorted(unknown)} are not nodes of the network")
        for node in self.nodes:
            require_some(node, self.shapes[node.name])

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    @property
    def input(self) -> Input:
        """The input node."""
        first = self.nodes[0]
        assert isinstance(first, Input)
        return first

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of every node's output for one event."""
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            shapes[node.name] = node.shape([shapes[name] for name in node.inputs])
        return shapes

    @cached_property
    def bounds(self) -> dict[str, Bounds]:
        """Interval of every node's output, per channel.

        Raises
        ------
        OverflowError
            Naming the node whose sums do not fit into 62 bits.
        """
        bounds: dict[str, Bounds] = {}
        for node in self.nodes:
            sources = [bounds[name] for name in node.inputs]
            try:
                bounds[node.name] = node.bounds(sources, [self.shapes[name] for name in node.inputs])
            except OverflowError as error:
                raise OverflowError(f"{node.name}: {error}") from None
        return bounds

    @cached_property
    def types(self) -> dict[str, FixedPoint]:
        """Type of every node's output: the declared one, or the smallest that holds the exact result."""
        return {node.name: node.result_type(self.bounds[node.name]) for node in self.nodes}

    @property
    def softmaxes(self) -> frozenset[str]:
        """Outputs that are logits of a softmax, as the metadata tell."""
        told = self.metadata.get("outputs")
        heads = told.values() if isinstance(told, Mapping) else ()
        return frozenset(str(head["node"]) for head in heads if head["activation"] == "softmax")

    @property
    def format(self) -> int:
        """Oldest version of the file format that holds the network."""
        return max(node.version for node in self.nodes)

    def consumers(self, name: str) -> list[Node]:
        """Nodes that read the output of ``name``."""
        return [node for node in self.nodes if name in node.inputs]

"""How a network is laid out for C++: types of its values, rows that are kept, what is computed together."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trigger_ml.core.fixed_point import IntArray, Overflow, Rounding
from trigger_ml.firmware.ir.bounds import Bounds
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import (
    Add,
    Affine,
    Conv2D,
    GlobalAveragePool,
    Node,
    Quantize,
)
from trigger_ml.firmware.ir.ops.window import SlidingNode, Window

__all__ = ["Buffer", "Plan", "lane_bits", "storage", "window_of"]

LEAST_LANE = 16
STATEMENTS = 20_000
"""Layers with more weights are tables that loops go through: a compiler would need minutes for them."""
WIDTHS = (8, 16, 32, 64)


def storage(bounds: Bounds) -> str:
    """The narrowest C++ type that holds all values of a node."""
    low, high = int(bounds.low.min()), int(bounds.high.max())
    for width in WIDTHS:
        if low >= 0 and high < 1 << width:
            return f"uint{width}_t"
        if -(1 << (width - 1)) <= low and high < 1 << (width - 1):
            return f"int{width}_t"
    raise AssertionError("bounds fit 62 bits")


def lane_bits(low: int, high: int) -> int:
    """Bits of the signed lanes in which an interval can be computed with; sums may wrap below it."""
    for width in WIDTHS:
        if width >= LEAST_LANE and -(1 << (width - 1)) <= low and high < 1 << (width - 1):
            return width
    raise AssertionError("bounds fit 62 bits")


@dataclass(frozen=True)
class Buffer:
    """Where a node's values lie while others read them.

    Parameters
    ----------
    index : int
        Of the node in the network.
    ctype : str
        Type of a value; each is as many lanes as there are events side by side.
    height, width, channels : int
        Of the map; a vector has height and width 1.
    left, right : int
        Columns of zeros beside each row.
    rows : int
        Rows kept at a time; one more, of zeros, lies behind them.
    is_map : bool
    paired : bool
        Two channels, bytes without a sign, share a lane of 16 bits.
    """

    index: int
    ctype: str
    height: int
    width: int
    channels: int
    left: int
    right: int
    rows: int
    is_map: bool
    paired: bool

    @property
    def stored(self) -> str:
        """Type of what is stored: two channels' bytes share a lane where they are paired."""
        return "uint16_t" if self.paired else self.ctype

    @property
    def per_column(self) -> int:
        """Stored values of one column."""
        return self.channels // 2 if self.paired else self.channels

    @property
    def columns(self) -> int:
        """Columns of a row with its zeros."""
        return self.left + self.width + self.right


def window_of(node: Node) -> Window:
    """What a node reads of a map for one position of its result."""
    return node.sliding if isinstance(node, SlidingNode) else Window((1, 1), (1, 1))


@dataclass(frozen=True)
class Plan:
    """A network as its C++ code sees it.

    Parameters
    ----------
    network : Network
    """

    network: Network

    @cached_property
    def index(self) -> dict[str, int]:
        """Number of each node."""
        return {node.name: i for i, node in enumerate(self.network.nodes)}

    @cached_property
    def fused(self) -> dict[str, Quantize]:
        """Layers with weights whose sums go to a quantizer and nowhere else: they are never stored."""
        found: dict[str, Quantize] = {}
        for node in self.network.nodes:
            readers = self.network.consumers(node.name)
            if (
                isinstance(node, Affine)
                and node.name not in self.network.outputs
                and len(readers) == 1
                and isinstance(readers[0], Quantize)
            ):
                found[node.name] = readers[0]
        return found

    @cached_property
    def steps(self) -> tuple[Node, ...]:
        """Nodes that are computed in a turn of their own, in order."""
        taken = {quantizer.name for quantizer in self.fused.values()}
        return tuple(node for node in self.network.nodes[1:] if node.name not in taken)

    def result(self, node: Node) -> Node:
        """The node whose values a step leaves."""
        return self.fused.get(node.name, node)

    def is_map(self, name: str) -> bool:
        """Whether a node's output has rows."""
        return len(self.network.shapes[name]) == 3

    def needs(self, node: Node, row: int) -> tuple[int, int]:
        """First and last row of its sources that a step reads for a row of its own."""
        height = self.network.shapes[node.inputs[0]][0]
        window = window_of(node)
        first = row * window.strides[0] - window.padding[0][0]
        return max(0, first), min(height, first + window.size[0]) - 1

    @cached_property
    def turns(self) -> dict[str, int]:
        """When each node is computed: 0 while the input comes in, later if it needs a whole map.

        A map that is multiplied with a vector begins a turn after the vector's.
        """
        network = self.network
        found = {network.input.name: 0}
        for step in self.steps:
            waits = self.is_map(step.name)
            found[self.result(step).name] = found[step.name] = max(
                found[name] + int(waits and not self.is_map(name)) for name in step.inputs
            )
        return found

    def maps(self, turn: int) -> list[Node]:
        """Steps of a turn that go through rows."""
        return [s for s in self.steps if self.turns[s.name] == turn and self.is_map(s.inputs[0])]

    def vectors(self, turn: int) -> list[Node]:
        """Steps of a turn that read vectors."""
        return [s for s in self.steps if self.turns[s.name] == turn and not self.is_map(s.inputs[0])]

    def leads(self, node: Node) -> bool:
        """Whether all that a step reads is there when its turn begins: each row of it makes one."""
        turn = self.turns[node.name]
        return turn > 0 and all(self.turns[name] < turn for name in node.inputs)

    def turn_rows(self, turn: int) -> int:
        """Rows that a turn goes through."""
        if turn == 0:
            return self.buffers[self.network.input.name].height
        return max((self.total(node) for node in self.maps(turn) if self.leads(node)), default=0)

    def total(self, node: Node) -> int:
        """Rows that a step goes through: those of its map, or all that go into its vector."""
        return self.network.shapes[node.name if self.is_map(node.name) else node.inputs[0]][0]

    @cached_property
    def rows(self) -> dict[str, int]:
        """Rows of each map that must be kept at a time, found by going through the order of the code."""
        network = self.network
        done = {node.name: 0 for node in network.nodes}
        kept = {node.name: 1 for node in network.nodes}
        if not self.is_map(network.input.name):
            return kept
        for turn in range(max(self.turns.values()) + 1):
            steps = self.maps(turn)
            count = network.input.size[0] if turn == 0 else self.turn_rows(turn)
            for row in range(count):
                if turn == 0:
                    done[network.input.name] = row + 1
                for node in steps:
                    self._advance(node, row, done, kept)
        return kept

    def _advance(self, node: Node, row: int, done: dict[str, int], kept: dict[str, int]) -> None:
        """Make what rows of a step can be made, as its turn goes through ``row``."""
        name, leads = self.result(node).name, self.leads(node)
        sources = [source for source in node.inputs if self.is_map(source)]
        while done[name] < self.total(node) and not (leads and done[name] > row):
            first, last = self.needs(node, done[name])
            if any(done[source] <= last for source in sources):
                break
            for source in sources:
                kept[source] = max(kept[source], done[source] - first)
            done[name] += 1

    @cached_property
    def buffers(self) -> dict[str, Buffer]:
        """Of every node whose values are stored."""
        network, found = self.network, {}
        for node in (network.input, *(self.result(step) for step in self.steps)):
            shape = network.shapes[node.name]
            height, width, channels = shape if len(shape) == 3 else (1, 1, shape[0])
            pads = [window_of(reader).padding[1] for reader in network.consumers(node.name)]
            found[node.name] = Buffer(
                self.index[node.name],
                self.ctype(node),
                height,
                width,
                channels,
                max((left for left, _ in pads), default=0),
                max((right for _, right in pads), default=0),
                self.rows[node.name],
                len(shape) == 3,
                self._is_paired(node),
            )
        return found

    def _is_paired(self, node: Node) -> bool:
        """Whether all that read a map can multiply two of its channels at once.

        Processors multiply bytes without a sign by bytes with one and add two such products in 16 bits, where
        they saturate: so each sum of two must be proven to fit.
        """
        shape, readers = self.network.shapes[node.name], self.network.consumers(node.name)
        if len(shape) != 3 or shape[2] % 2 or self.ctype(node) != "uint8_t":
            return False
        if not isinstance(node, Conv2D | Quantize | Add):
            return False
        return bool(readers) and all(self._multiplies_pairs(reader) for reader in readers)

    def _multiplies_pairs(self, node: Node) -> bool:
        if not isinstance(node, Conv2D) or self.is_table(node) or self.sum_bits(node) != LEAST_LANE:
            return False
        kernel = self.weights(node)
        if kernel.min() < -128 or kernel.max() > 127:
            return False
        high = self.network.bounds[node.inputs[0]].high[:, np.newaxis]
        products = (kernel * high).reshape(-1, kernel.shape[2] // 2, 2, kernel.shape[3])
        most = np.maximum(products, 0).sum(axis=2).max()
        least = np.minimum(products, 0).sum(axis=2).min()
        return bool(most < 1 << 15 and least >= -(1 << 15))

    def weights(self, node: Affine) -> IntArray:
        """Weights in units of the sum's last bit, (rows, columns, inputs, outputs) of what is read."""
        taps = node.taps
        source = self.network.bounds[node.inputs[0]].fraction
        places = node.accumulator_fraction(source) - source - node.kernel_type.fraction
        return np.asarray(taps << np.int64(places)).reshape(*window_of(node).size, *taps.shape[-2:])

    def is_table(self, node: Affine) -> bool:
        """Whether a layer is too large for a statement of each weight."""
        return int(np.count_nonzero(node.kernel)) > STATEMENTS

    def ctype(self, node: Node) -> str:
        """Type in which a node's values are stored."""
        if node is self.network.input:
            return self.input_type
        kind = storage(self.network.bounds[node.name])
        if isinstance(node, GlobalAveragePool):
            # it is its own sum while it grows
            bits = lane_bits(*self._reach(node.name))
            return f"int{bits}_t"
        return kind

    @property
    def input_type(self) -> str:
        """Type of a caller's counts."""
        return storage(self.network.bounds[self.network.input.name])

    def _reach(self, name: str) -> tuple[int, int]:
        bounds = self.network.bounds[name]
        return int(bounds.low.min()), int(bounds.high.max())

    def sum_bits(self, node: Node) -> int:
        """Bits of the lanes in which a step computes, its quantizer included."""
        if isinstance(node, Quantize):
            return self.quantizer_bits(node)
        bits = lane_bits(*self._reach(node.name))
        quantizer = self.fused.get(node.name)
        return max(bits, self.quantizer_bits(quantizer)) if quantizer else bits

    def quantizer_bits(self, node: Quantize) -> int:
        """Bits of the lanes that hold every intermediate result of a quantizer."""
        low, high = self._reach(node.inputs[0])
        places = self.network.bounds[node.inputs[0]].fraction - node.dtype.fraction
        half = 1 << (places - 1) if places > 0 and node.rounding is not Rounding.TRN else 0
        finer = max(0, -places)
        low, high = low << finer, (high << finer) + half
        low, high = min(low, node.dtype.minimum), max(high, node.dtype.maximum)
        bits = lane_bits(low, high)
        while node.overflow is Overflow.WRAP and bits <= node.dtype.width:
            bits *= 2
        return bits

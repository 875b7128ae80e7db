"""The blocks that the streaming firmware is built of, as data: streams, modules, a pipeline of them.

A feature map travels in raster order, ``lanes`` positions of one row per beat; each row starts a new
beat. Vectors are maps of one position. Every module reads one or more streams and drives one.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property

from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.ir.ops import Node
from trigger_ml.firmware.rtl.kernels import Kernel

__all__ = [
    "FifoModule",
    "FlattenModule",
    "InputModule",
    "Module",
    "Pipeline",
    "PointModule",
    "Stream",
    "SumModule",
    "WindowModule",
    "columns_per_read",
    "output_lanes",
]


BLOCK_WORDS, BLOCK_BITS = 256, 8192
"""From here on a FIFO is block RAM: below, distributed memory is smaller or hardly larger."""


def columns_per_read(source_lanes: int, lanes: int, stride: int) -> int:
    """Columns that a window module reads at once: a divisor of what a beat brings."""
    wanted = lanes * stride
    return wanted if source_lanes % wanted == 0 else math.gcd(source_lanes, stride)


@dataclass(frozen=True)
class Stream:
    """A feature map on wires.

    Parameters
    ----------
    height, width, channels : int
    lanes : int
        Positions per beat.
    dtype : FixedPoint
        Of every value.
    """

    height: int
    width: int
    channels: int
    lanes: int
    dtype: FixedPoint

    @property
    def row_beats(self) -> int:
        """Beats in one row."""
        return math.ceil(self.width / self.lanes)

    @property
    def beats(self) -> int:
        """Beats in one frame."""
        return self.height * self.row_beats

    @property
    def position_bits(self) -> int:
        """Bits of one position."""
        return self.channels * self.dtype.width

    @property
    def bits(self) -> int:
        """Bits of one beat."""
        return self.lanes * self.position_bits


def output_lanes(source: Stream, stride: int, rows: int, budget: float) -> int:
    """Fewest kernels that keep up: output positions per clock of a sliding window."""
    choices = [q for q in range(1, source.lanes // stride + 1) if source.lanes % (q * stride) == 0] or [1]
    for lanes in choices:
        group = columns_per_read(source.lanes, lanes, stride)
        if rows * math.ceil(source.width / group) <= budget:
            return lanes
    return choices[-1]


@dataclass(frozen=True, eq=False)
class Module:
    """Base of all blocks.

    Parameters
    ----------
    name : str
        Identifier of module, file and output stream.
    nodes : tuple of Node
        What it computes, in order; the last one's output is the stream.
    inputs : tuple of str
        Names of the modules whose stream it reads.
    output : Stream
    """

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    output: Stream

    @property
    def kernels(self) -> int:
        """Copies of the kernel."""
        return 0


@dataclass(frozen=True, eq=False)
class InputModule(Module):
    """The top's input port."""


@dataclass(frozen=True, eq=False)
class PointModule(Module):
    """A kernel for each lane, on single positions of one or more streams.

    ``held`` are those of its inputs of which one beat serves a whole frame of the others.
    """

    depth: int
    kernel: Kernel | None = None
    held: frozenset[int] = frozenset()

    @property
    def kernels(self) -> int:  # noqa: D102
        return self.output.lanes


@dataclass(frozen=True, eq=False)
class FifoModule(Module):
    """A branch's delay: holds the beats that the other branch is still working on."""

    capacity: int

    @property
    def block(self) -> bool:
        """Whether its memory is block RAM, which is read a clock later than distributed memory."""
        return self.capacity >= BLOCK_WORDS and self.capacity * self.output.bits >= BLOCK_BITS


@dataclass(frozen=True, eq=False)
class SumModule(Module):
    """Running sum, or maximum, over all positions of a frame."""

    source: Stream
    depth: int
    """Pipeline registers of what is formed over lanes; 0 with one lane."""
    kernel: Kernel | None = None

    @property
    def kernels(self) -> int:  # noqa: D102
        return 1 if self.source.lanes > 1 else 0


@dataclass(frozen=True, eq=False)
class FlattenModule(Module):
    """Collects a frame into one wide beat."""

    source: Stream


@dataclass(frozen=True, eq=False)
class WindowModule(Module):
    """Sliding window: rows of memory, a shift register of columns, a kernel for each output lane.

    Without kernel and with a window of one position it only narrows a stream.
    """

    source: Stream
    window: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    depth: int
    kernel: Kernel | None = field(default=None)
    outside: int = 0
    """What every channel is beyond the map's edge."""

    @property
    def kernels(self) -> int:  # noqa: D102
        return self.output.lanes if self.nodes else 0

    @cached_property
    def group(self) -> int:
        """Columns read from the row memory in one clock."""
        return columns_per_read(self.source.lanes, self.output.lanes, self.strides[1])

    @property
    def parts(self) -> int:
        """Groups in one word of the row memory."""
        return self.source.lanes // self.group

    @property
    def step(self) -> int:
        """Groups from one output beat to the next."""
        return self.output.lanes * self.strides[1] // self.group

    @property
    def columns(self) -> int:
        """Columns that one output beat needs."""
        return (self.output.lanes - 1) * self.strides[1] + self.window[1]

    @property
    def ahead(self) -> int:
        """Groups that must follow an output beat's own group before it can be computed."""
        return (self.columns - 1 - self.padding[1][0]) // self.group

    @property
    def history(self) -> int:
        """Columns kept beside the group just read."""
        return self.ahead * self.group + self.padding[1][0]

    @property
    def row_groups(self) -> int:
        """Groups read in each row."""
        present = math.ceil(self.source.width / self.group)
        return min(present, (self.output.row_beats - 1) * self.step + self.ahead + 1)

    @property
    def rows(self) -> int:
        """Rows of memory: the window, and those that may arrive while it is read."""
        return self.window[0] + self.strides[0]

    def emits(self, group: int) -> bool:
        """Whether an output beat belongs to this group of a row."""
        return group % self.step == 0 and group // self.step < self.output.row_beats

    def base(self, row: int) -> int:
        """First real input row of an output row's window; after the last one, the next frame's."""
        if row == self.output.height:
            return self.source.height
        return max(0, row * self.strides[0] - self.padding[0][0])

    def need(self, row: int) -> int:
        """Real input rows of an output row's window."""
        last = min(self.source.height, row * self.strides[0] - self.padding[0][0] + self.window[0])
        return last - self.base(row)

    def retire(self, row: int) -> int:
        """Input rows that no later output row of the frame reads."""
        return self.base(row + 1) - self.base(row)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """Stages in topological order; the outputs' beats leave together.

    Parameters
    ----------
    modules : tuple of Module
    outputs : tuple of str
        Stages whose streams leave.
    results : tuple of str
        The network's names of those outputs.
    """

    modules: tuple[Module, ...]
    outputs: tuple[str, ...]
    results: tuple[str, ...]

    @cached_property
    def by_name(self) -> dict[str, Module]:
        """Stages by name."""
        return {module.name: module for module in self.modules}

    @property
    def input(self) -> Stream:
        """The stream that enters."""
        return self.modules[0].output

    def consumers(self, name: str) -> list[Module]:
        """Stages that read a stream, once for each time they read it."""
        return [module for module in self.modules for source in module.inputs if source == name]

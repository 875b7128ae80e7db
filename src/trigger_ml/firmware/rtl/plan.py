"""From a network to the modules of a streaming pipeline, and the refusal of what cannot be mapped."""

import re
from collections.abc import Iterator
from dataclasses import replace

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import NO_PADDING, Input, Lookup, Node, Quantize, Shape
from trigger_ml.firmware.names import word
from trigger_ml.firmware.rtl.arithmetic import ARITHMETIC
from trigger_ml.firmware.rtl.dataflow import Module, Pipeline, Stream, WindowModule
from trigger_ml.firmware.rtl.limits import refuse
from trigger_ml.firmware.rtl.logic import depth
from trigger_ml.firmware.rtl.ops import STREAMING
from trigger_ml.firmware.rtl.timing import buffer_sizes, with_fifos

__all__ = ["check", "plan", "refusals"]

# before the name of every layer: no word of any hardware language, no port and no other module begins so
PREFIX = "layer_"


def identifier(name: str, taken: set[str]) -> str:
    """A Verilog and VHDL identifier for a layer, not among ``taken`` (compared without case).

    It begins with a prefix, so that a layer may be called as it likes: ``type``, ``m_axis``, ``1/conv``.
    It does not end as the modules of kernels do, which are named after their layer.
    """
    text = word(name)
    if re.search(r"(^|_)kernel(_\d+)?$", text, flags=re.IGNORECASE):
        text = f"{text}_layer"
    text = f"{PREFIX}{text}"
    result, number = text, 1
    while result.lower() in taken:
        number += 1
        result = f"{text}_{number}"
    taken.add(result.lower())
    return result


def _map_shape(shape: Shape) -> tuple[int, int, int]:
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, shape[0])


def check(network: Network, config: RtlConfig) -> None:
    """Refuse what no module can compute, before any work.

    Raises
    ------
    MappingError
        Naming the layer and the reason.
    """
    for error in refusals(network, config):
        raise error


def refusals(network: Network, config: RtlConfig) -> Iterator[MappingError]:
    """All that no module can compute, one error for each layer."""
    shape = network.shapes[network.input.name]
    if len(shape) not in (1, 3):
        yield refuse(
            network.input, f"shape {shape} is no map and no vector", "Give (height, width, channels)"
        )
        return
    if config.style == "streaming" and config.pixels_per_clock > _map_shape(shape)[1]:
        yield refuse(
            network.input,
            f"{config.pixels_per_clock} pixels per clock exceed a row of {_map_shape(shape)[1]} cells",
            "Lower firmware.rtl.pixels_per_clock",
        )
    for node in network.nodes:
        try:
            ARITHMETIC.of(node).check(network, node)
        except MappingError as error:
            yield error
        if network.types[node.name].width > 62:  # pragma: no cover - FixedPoint refuses it first
            yield refuse(node, "accumulator wider than 62 bits", "Use fewer bits")


def _followers(network: Network, node: Node) -> tuple[Node, ...]:
    """The quantizers and tables that can be computed inside ``node``'s kernel, one behind the other."""
    found: list[Node] = []
    while True:
        last = found[-1] if found else node
        readers = network.consumers(last.name)
        if last.name in network.outputs or len(readers) != 1 or not isinstance(readers[0], Quantize | Lookup):
            return tuple(found)
        found.append(readers[0])


class _Builder:
    """Walks the network once; the site that the ops' modules are put into."""

    def __init__(self, network: Network, config: RtlConfig) -> None:
        self.network = network
        self.config = config
        self.lanes = config.pixels_per_clock
        self.modules: list[Module] = []
        self.driver: dict[str, str] = {}
        self.taken: set[str] = set()

    @property
    def budget(self) -> float:
        return self.modules[0].output.beats * self.config.duty

    def driver_of(self, name: str) -> str:
        return self.driver[name]

    def stream(self, name: str) -> Stream:
        return next(s.output for s in self.modules if s.name == self.driver[name])

    def depth(self, nodes: tuple[Node, ...], taps: int = 1, padded: bool = False) -> int:
        return depth(self.network, nodes, taps, padded, self.config.cell_delay)

    def output(self, node: Node, lanes: int) -> Stream:
        height, width, channels = _map_shape(self.network.shapes[node.name])
        return Stream(height, width, channels, lanes, self.network.types[node.name])

    def narrow(self, name: str, lanes: int, reader: str) -> str:
        source = self.stream(name)
        if source.lanes == lanes:
            return self.driver[name]
        module = WindowModule(
            identifier(f"{reader.removeprefix(PREFIX)}_narrow", self.taken), (), (self.driver[name],), replace(source, lanes=lanes), source,
            (1, 1), (1, 1), NO_PADDING, 0,
        )  # fmt: skip
        self.modules.append(module)
        return module.name

    def visit(self, node: Node, followers: tuple[Node, ...]) -> None:
        nodes = (node, *followers)
        name = "s_axis" if isinstance(node, Input) else identifier(node.name, self.taken)
        module = STREAMING.of(node).place(self, node, name, nodes)
        self.modules.append(module)
        for done in nodes:
            self.driver[done.name] = name


def plan(network: Network, config: RtlConfig) -> Pipeline:
    """Stages of the streaming firmware, without their kernels (milliseconds).

    Parameters
    ----------
    network : Network
    config : RtlConfig

    Raises
    ------
    MappingError
        If a layer has no equivalent, naming it and the reason.
    """
    builder = _Builder(network, config)
    fused: set[str] = set()
    for node in network.nodes:
        if node.name in fused:
            continue
        followers = _followers(network, node) if STREAMING.of(node).fuses else ()
        fused.update(follower.name for follower in followers)
        builder.visit(node, followers)
    outputs = tuple(builder.driver[name] for name in network.outputs)
    pipeline = Pipeline(tuple(builder.modules), outputs, network.outputs)
    sizes = buffer_sizes(pipeline)
    names = {
        key: identifier(f"{(key[0] or outputs[key[1]]).removeprefix(PREFIX)}_skip", builder.taken)
        for key, n in sizes.items()
        if n
    }
    return with_fifos(pipeline, sizes, names.__getitem__)

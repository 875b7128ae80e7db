"""From a network to the modules of a streaming pipeline, and the refusal of what cannot be mapped."""

import math
import re
from dataclasses import replace

import numpy as np

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.firmware.ir.network import (
    Add,
    Affine,
    AveragePool2D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    Input,
    MaxPool2D,
    Network,
    Node,
    Quantize,
    Shape,
)
from trigger_ml.firmware.names import word
from trigger_ml.firmware.rtl.dataflow import (
    FlattenModule,
    InputModule,
    Module,
    Pipeline,
    PointModule,
    Stream,
    SumModule,
    WindowModule,
    columns_per_read,
)
from trigger_ml.firmware.rtl.logic import depth
from trigger_ml.firmware.rtl.schedule import buffer_sizes, with_fifos

__all__ = ["check", "plan"]

# before the name of every layer: no word of any hardware language, no port and no other module begins so
PREFIX = "layer_"
# alkaid keeps constants of an addition in 32 bits, weights in a float's 24
MAX_BIAS, MAX_WEIGHT = 2**31, 2**24
# above this the wide register and its kernel are no longer a sensible circuit
MAX_FLAT = 4096


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


def _refuse(node: Node, why: str, remedy: str) -> MappingError:
    return MappingError(f"layer {node.name} ({node.op})", why, remedy)


def check(network: Network, config: RtlConfig) -> None:
    """Refuse what no module can compute, before any work.

    Raises
    ------
    MappingError
        Naming the layer and the reason.
    """
    shape = network.shapes[network.input.name]
    if len(shape) not in (1, 3):
        raise _refuse(
            network.input, f"shape {shape} is no map and no vector", "Give (height, width, channels)"
        )
    if config.style == "streaming" and config.pixels_per_clock > _map_shape(shape)[1]:
        raise _refuse(
            network.input,
            f"{config.pixels_per_clock} pixels per clock exceed a row of {_map_shape(shape)[1]} cells",
            "Lower firmware.rtl.pixels_per_clock",
        )
    for node in network.nodes:
        sources = [network.bounds[name] for name in node.inputs]
        if isinstance(node, Affine):
            bias = np.abs(node.aligned_bias(sources[0].fraction)).max(initial=0)
            places = node.accumulator_fraction(sources[0].fraction) - sources[0].fraction
            weight = np.abs(node.kernel).max(initial=0) << (places - node.kernel_type.fraction)
            if bias >= MAX_BIAS or weight >= MAX_WEIGHT * 2**64:
                raise _refuse(node, f"bias {bias} needs more than 32 bits", "Use fewer bias bits")
            if np.abs(node.kernel).max(initial=0) >= MAX_WEIGHT:
                raise _refuse(node, "weights need more than 24 bits", "Use fewer weight bits")
        if isinstance(node, Conv2D):
            for padded, size, axis in zip(
                node.padding, node.kernel.shape[:2], ("vertical", "horizontal"), strict=True
            ):
                if sum(padded) > size - 1:
                    raise _refuse(
                        node,
                        f"{axis} padding {padded} exceeds what a kernel of {size} can reach",
                        "Use 'same' or 'valid' padding",
                    )
        if isinstance(node, Flatten) and network.shapes[node.name][0] > MAX_FLAT:
            raise _refuse(
                node,
                f"{network.shapes[node.name][0]} values would be held in one register (limit {MAX_FLAT})",
                "Use global average pooling, or stride down before the dense layer",
            )
        if network.types[node.name].width > 62:  # pragma: no cover - FixedPoint refuses it first
            raise _refuse(node, "accumulator wider than 62 bits", "Use fewer bits")


def output_lanes(source: Stream, node: Conv2D | MaxPool2D | AveragePool2D, out: Shape, budget: float) -> int:
    """Fewest kernels that keep up: output positions per clock of a sliding window."""
    stride = node.strides[1]
    choices = [q for q in range(1, source.lanes // stride + 1) if source.lanes % (q * stride) == 0] or [1]
    for lanes in choices:
        group = columns_per_read(source.lanes, lanes, stride)
        if out[0] * math.ceil(source.width / group) <= budget:
            return lanes
    return choices[-1]


def _fusable(network: Network, node: Node) -> Quantize | None:
    """The quantizer that can be computed inside ``node``'s kernel."""
    readers = network.consumers(node.name)
    if node.name in network.outputs or len(readers) != 1:
        return None
    return readers[0] if isinstance(readers[0], Quantize) else None


class _Builder:
    """Walks the network once; ``driver`` maps a node to the module that drives its stream."""

    def __init__(self, network: Network, config: RtlConfig) -> None:
        self.network = network
        self.config = config
        self.modules: list[Module] = []
        self.driver: dict[str, str] = {}
        self.taken: set[str] = set()

    def stream(self, name: str) -> Stream:
        return next(s.output for s in self.modules if s.name == self.driver[name])

    def depth(self, nodes: tuple[Node, ...], taps: int = 1, padded: bool = False) -> int:
        return depth(self.network, nodes, taps, padded, self.config.cell_delay)

    def add(self, module: Module) -> None:
        self.modules.append(module)
        for node in module.nodes:
            self.driver[node.name] = module.name

    def output(self, node: Node, lanes: int) -> Stream:
        height, width, channels = _map_shape(self.network.shapes[node.name])
        return Stream(height, width, channels, lanes, self.network.types[node.name])

    def narrow(self, name: str, lanes: int, reader: str) -> str:
        """Driver of ``name`` with at most ``lanes`` positions per beat."""
        source = self.stream(name)
        if source.lanes == lanes:
            return self.driver[name]
        module = WindowModule(
            identifier(f"{reader.removeprefix(PREFIX)}_narrow", self.taken), (), (self.driver[name],), replace(source, lanes=lanes), source,
            (1, 1), (1, 1), ((0, 0), (0, 0)), 0,
        )  # fmt: skip
        self.modules.append(module)
        return module.name

    def visit(self, node: Node, quantizer: Quantize | None) -> None:
        nodes: tuple[Node, ...] = (node,) if quantizer is None else (node, quantizer)
        name = identifier(node.name, self.taken)
        inputs = tuple(self.driver[i] for i in node.inputs)
        source = self.stream(node.inputs[0])
        budget = self.modules[0].output.beats * self.config.duty
        match node:
            case Conv2D() | MaxPool2D() | AveragePool2D():
                window = node.kernel.shape[:2] if isinstance(node, Conv2D) else node.window
                padding = node.padding if isinstance(node, Conv2D) else ((0, 0), (0, 0))
                if tuple(window) == (1, 1) and node.strides == (1, 1):
                    self.add(
                        PointModule(
                            name, nodes, inputs, self.output(nodes[-1], source.lanes), self.depth(nodes)
                        )
                    )
                    return
                lanes = output_lanes(source, node, self.network.shapes[node.name], budget)
                out = self.output(nodes[-1], lanes)
                shape = (int(window[0]), int(window[1]))
                registers = self.depth(nodes, shape[0] * shape[1], True)
                self.add(
                    WindowModule(name, nodes, inputs, out, source, shape, node.strides, padding, registers)
                )
            case Add():
                lanes = min(self.stream(i).lanes for i in node.inputs)
                inputs = tuple(self.narrow(i, lanes, name) for i in node.inputs)
                self.add(PointModule(name, nodes, inputs, self.output(nodes[-1], lanes), self.depth(nodes)))
            case Dense() | Quantize():
                self.add(
                    PointModule(name, nodes, inputs, self.output(nodes[-1], source.lanes), self.depth(nodes))
                )
            case GlobalAveragePool():
                registers = self.depth(nodes, source.lanes, True) if source.lanes > 1 else 0
                self.add(SumModule(name, nodes, inputs, self.output(node, 1), source, registers))
            case Flatten():
                # only the positions move: the source's type is kept, also where its values need fewer bits
                self.add(
                    FlattenModule(
                        name, nodes, inputs, replace(self.output(node, 1), dtype=source.dtype), source
                    )
                )
            case _:
                raise _refuse(node, "no module computes it", "See docs/rtl.md for the layers that have one")


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
        if isinstance(node, Input):
            builder.add(
                InputModule(
                    "s_axis",
                    (node,),
                    (),
                    builder.output(node, config.pixels_per_clock),
                )
            )
            continue
        if node.name in fused:
            continue
        quantizer = None if isinstance(node, GlobalAveragePool | Flatten) else _fusable(network, node)
        if quantizer is not None:
            fused.add(quantizer.name)
        builder.visit(node, quantizer)
    outputs = tuple(builder.driver[name] for name in network.outputs)
    pipeline = Pipeline(tuple(builder.modules), outputs, network.outputs)
    sizes = buffer_sizes(pipeline)
    names = {
        key: identifier(f"{(key[0] or outputs[key[1]]).removeprefix(PREFIX)}_skip", builder.taken)
        for key, n in sizes.items()
        if n
    }
    return with_fifos(pipeline, sizes, names.__getitem__)

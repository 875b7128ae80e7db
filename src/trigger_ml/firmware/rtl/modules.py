"""What the Verilog modules of all stages share: ports, comment, kernels, valid bits."""

from trigger_ml.firmware.rtl.dataflow import (
    FifoStage,
    Stage,
    Stream,
    WindowStage,
)
from trigger_ml.firmware.rtl.kernels import Kernel
from trigger_ml.firmware.rtl.text import (
    bits_for,
    concat,
    header,
    instance,
    kernel_input,
    kernel_output,
    range_of,
)

__all__ = ["chain", "counter", "describe", "instances", "module", "results"]


def stream_text(stream: Stream) -> str:
    return (
        f"{stream.height} x {stream.width} x {stream.channels} of {stream.dtype}, "
        f"{stream.lanes} position{'s' * (stream.lanes > 1)} per beat, {stream.beats} beats per frame"
    )


def describe(stage: Stage) -> list[str]:
    """What a stage does, as lines of a comment."""
    layers = " + ".join(f"{node.name} ({node.op})" for node in stage.nodes)
    match stage:
        case FifoStage():
            return [
                f"{stage.name}: holds up to {stage.capacity} beats of {stage.inputs[0]} for the branch that comes later"
            ]
        case WindowStage() if not stage.nodes:
            return [f"{stage.name}: narrows {stage.inputs[0]} to {stage.output.lanes} positions per beat"]
        case WindowStage():
            (top, bottom), (left, right) = stage.padding
            return [
                f"{stage.name}: {layers}",
                f"window {stage.window[0]} x {stage.window[1]}, strides {stage.strides[0]} x {stage.strides[1]}, "
                f"zeros above {top}, below {bottom}, left {left}, right {right}",
            ]
    return [f"{stage.name}: {layers}"]


def ports(stage: Stage, sources: list[Stream]) -> str:
    names = ["s_axis"] if len(sources) == 1 else [f"s{i}_axis" for i in range(len(sources))]
    lines = ["    input  wire clk", "    input  wire rst"]
    for name, source in zip(names, sources, strict=True):
        lines += [
            f"    input  wire {name}_tvalid",
            f"    output wire {name}_tready",
            f"    input  wire {range_of(source.bits)} {name}_tdata",
        ]
    lines += [
        "    output wire m_axis_tvalid",
        "    input  wire m_axis_tready",
        f"    output wire {range_of(stage.output.bits)} m_axis_tdata",
    ]
    return ",\n".join(lines)


def chain(bits: int, first: str) -> str:
    """Valid bits that travel with the data."""
    shifted = first if bits == 1 else f"{{in_flight[{bits - 2}:0], {first}}}"
    return f"""    // valid bits travel with the data; everything waits while a result is not taken
    reg {range_of(bits)} in_flight;
    assign m_axis_tvalid = in_flight[{bits - 1}];
    wire ce = !m_axis_tvalid || m_axis_tready;
    always @(posedge clk)
        if (rst) in_flight <= {bits}'d0;
        else if (ce) in_flight <= {shifted};
"""


def instances(kernel: Kernel, copies: int, inputs: list[list[tuple[str, int]]]) -> str:
    """The kernel's copies, each with its output on ``result<i>``."""
    if not kernel.live:
        return "    // every output is a constant\n"
    width = sum(f.width for f in kernel.outputs)
    text = []
    for i in range(copies):
        text.append(f"    wire {range_of(width)} result{i};")
        ports = [
            ("clk", "clk"),
            ("ce", "ce"),
            ("model_inp", kernel_input(kernel, inputs[i])),
            ("model_out", f"result{i}"),
        ]
        text.append(instance(kernel.name, f"kernel{i}", ports))
    return "\n".join(text) + "\n"


def results(kernel: Kernel, output: Stream) -> str:
    """The kernels' outputs as the stream's data."""
    parts = [part for i in range(output.lanes) for part in kernel_output(kernel, f"result{i}", output.dtype)]
    return f"    assign m_axis_tdata = {concat(parts)};\n"


def module(stage: Stage, sources: list[Stream], body: str) -> str:
    """A module with its comment and ports around ``body``."""
    lines = [
        *describe(stage),
        *(f"in:  {stream_text(s)}" for s in sources),
        f"out: {stream_text(stage.output)}",
    ]
    return f"{header(lines)}module {stage.name} (\n{ports(stage, sources)}\n);\n{body}endmodule\n"


def counter(name: str, states: int, enable: str, also: str = "") -> str:
    """A counter that wraps, inside a clocked block."""
    bits = bits_for(states)
    return f"            if ({enable}) {name} <= {name} == {bits}'d{states - 1} ? {bits}'d0 : {name} + {bits}'d1;{also}\n"

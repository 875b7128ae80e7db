"""What the Verilog of all modules shares: ports, comment, kernels, valid bits."""

from trigger_ml.firmware.rtl.dataflow import (
    FifoModule,
    Module,
    Stream,
    WindowModule,
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

__all__ = ["chain", "counter", "describe", "instances", "results", "verilog_module"]


def stream_text(stream: Stream) -> str:
    return (
        f"{stream.height} x {stream.width} x {stream.channels} of {stream.dtype}, "
        f"{stream.lanes} position{'s' * (stream.lanes > 1)} per beat, {stream.beats} beats per frame"
    )


def describe(module: Module) -> list[str]:
    """What a module does, as lines of a comment."""
    layers = " + ".join(f"{node.name} ({node.op})" for node in module.nodes)
    match module:
        case FifoModule():
            return [
                f"{module.name}: holds up to {module.capacity} beats of {module.inputs[0]} for the branch that comes later"
            ]
        case WindowModule() if not module.nodes:
            return [f"{module.name}: narrows {module.inputs[0]} to {module.output.lanes} positions per beat"]
        case WindowModule():
            (top, bottom), (left, right) = module.padding
            return [
                f"{module.name}: {layers}",
                f"window {module.window[0]} x {module.window[1]}, strides {module.strides[0]} x {module.strides[1]}, "
                f"zeros above {top}, below {bottom}, left {left}, right {right}",
            ]
    return [f"{module.name}: {layers}"]


def ports(module: Module, sources: list[Stream]) -> str:
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
        f"    output wire {range_of(module.output.bits)} m_axis_tdata",
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


def verilog_module(module: Module, sources: list[Stream], body: str) -> str:
    """A module with its comment and ports around ``body``."""
    lines = [
        *describe(module),
        *(f"in:  {stream_text(s)}" for s in sources),
        f"out: {stream_text(module.output)}",
    ]
    return f"{header(lines)}module {module.name} (\n{ports(module, sources)}\n);\n{body}endmodule\n"


def counter(name: str, states: int, enable: str, also: str = "") -> str:
    """A counter that wraps, inside a clocked block."""
    bits = bits_for(states)
    return f"            if ({enable}) {name} <= {name} == {bits}'d{states - 1} ? {bits}'d0 : {name} + {bits}'d1;{also}\n"

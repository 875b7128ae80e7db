"""The top module, and the files around it: test bench, constraints, build scripts."""

import math

from trigger_ml.firmware.rtl.dataflow import InputModule, Module, Pipeline, Stream
from trigger_ml.firmware.rtl.text import comment, header, instance, range_of
from trigger_ml.firmware.rtl.timing import Timing
from trigger_ml.firmware.rtl.verilog import describe

__all__ = ["input_bits", "output_bits", "output_fields", "top_module"]


def _bytes(bits: int) -> int:
    return 8 * math.ceil(bits / 8)


def input_bits(pipeline: Pipeline) -> int:
    """Width of ``s_axis_tdata``: a whole number of bytes."""
    return _bytes(pipeline.input.bits)


def output_fields(pipeline: Pipeline) -> list[tuple[str, int, int, int]]:
    """For each integer of the result: its node, number, lowest bit in ``m_axis_tdata`` and width there."""
    fields, low = [], 0
    for name, module in zip(pipeline.results, pipeline.outputs, strict=True):
        stream = pipeline.by_name[module].output
        size = _bytes(stream.dtype.width)
        for index in range(stream.channels):
            fields.append((name, index, low, size))
            low += size
    return fields


def output_bits(pipeline: Pipeline) -> int:
    """Width of ``m_axis_tdata``: every integer extended to whole bytes."""
    return sum(size for *_, size in output_fields(pipeline))


def _wires(name: str, stream: Stream) -> str:
    public = "/* verilator public_flat_rd */"
    return (
        f"    wire {name}_tvalid {public};\n"
        f"    wire {name}_tready {public};\n"
        f"    wire {range_of(stream.bits)} {name}_tdata {public};\n"
    )


def _summary(pipeline: Pipeline, title: str, timing: Timing) -> list[str]:
    source = pipeline.input
    lines = [
        title,
        "",
        f"Input: {source.height} x {source.width} x {source.channels} of {source.dtype}, row by row, "
        f"{source.lanes} positions per beat",
        f"  ({source.beats} beats per frame); position p, channel c from bit "
        f"(p * {source.channels} + c) * {source.dtype.width} of s_axis_tdata.",
        "Output: one beat per frame, every integer sign-extended to whole bytes of m_axis_tdata:",
    ]
    for name, index, low, size in output_fields(pipeline):
        dtype = pipeline.by_name[pipeline.outputs[pipeline.results.index(name)]].output.dtype
        lines.append(f"  {name}[{index}] {dtype}: bits {low + size - 1} to {low}")
    lines += [
        f"Clocks: a result every {timing.interval}, the first {timing.latency} after the frame's first beat.",
        "Reset: aresetn low for one clock, at any time; the next beat is the first of a frame.",
        "",
        "Stages:",
    ]
    for module in pipeline.modules[1:]:
        s = module.output
        lines.append(
            f"  {describe(module)[0]}: {s.height} x {s.width} x {s.channels}, {s.lanes} per beat, {s.dtype}"
        )
    return lines


def _accepts(pipeline: Pipeline, name: str, reader: Module | None) -> str:
    """That every reader of a stream but ``reader`` takes its beat."""
    terms = []
    for module in pipeline.consumers(name):
        if module is not reader:
            terms.append(f"{module.name}_takes_{module.inputs.index(name)}")
    return " && ".join(dict.fromkeys(terms))


def top_module(pipeline: Pipeline, name: str, title: str, timing: Timing) -> str:
    """Verilog of the top.

    Parameters
    ----------
    pipeline : Pipeline
    name : str
        Of the module.
    title : str
        First line of its comment.
    timing : Timing
    """
    source = pipeline.input
    text = header(_summary(pipeline, title, timing))
    text += f"""module {name} (
    input  wire aclk,
    input  wire aresetn,
    input  wire s_axis_tvalid,
    output wire s_axis_tready,
    input  wire {range_of(input_bits(pipeline))} s_axis_tdata,
    output wire m_axis_tvalid,
    input  wire m_axis_tready,
    output wire {range_of(output_bits(pipeline))} m_axis_tdata
);
    wire rst = !aresetn;
"""
    entry = pipeline.modules[0].name
    text += "    wire frame_accepted;\n    assign s_axis_tready = aresetn && frame_accepted;\n"
    for module in pipeline.modules[1:]:
        text += (
            "\n"
            + "".join(f"    {comment(line)}\n" for line in describe(module))
            + _wires(module.name, module.output)
        )
        for port in range(len(module.inputs)):
            text += f"    wire {module.name}_takes_{port};\n"
    last = list(dict.fromkeys(pipeline.outputs))
    for output in last:
        text += f"    wire {output}_leaves;\n"
    text += "\n"
    for module in pipeline.modules:
        readers = _accepts(pipeline, module.name, None)
        if module.name in last:
            readers = f"{module.name}_leaves"
        if isinstance(module, InputModule):
            text += f"    assign frame_accepted = {readers};\n"
        else:
            text += f"    assign {module.name}_tready = {readers};\n"
    text += "\n"
    for module in pipeline.modules[1:]:
        ports = [("clk", "aclk"), ("rst", "rst")]
        for port, driver in enumerate(module.inputs):
            prefix = "s_axis" if len(module.inputs) == 1 else f"s{port}_axis"
            others = _accepts(pipeline, driver, module)
            valid = f"{driver}_tvalid" + (f" && {others}" if others else "")
            data = f"{driver}_tdata"
            if driver == entry:
                data = f"s_axis_tdata[{source.bits - 1}:0]"
            ports += [
                (f"{prefix}_tvalid", valid),
                (f"{prefix}_tready", f"{module.name}_takes_{port}"),
                (f"{prefix}_tdata", data),
            ]
        for signal in ("tvalid", "tready", "tdata"):
            ports.append((f"m_axis_{signal}", f"{module.name}_{signal}"))
        text += instance(module.name, f"{module.name}_stage", ports) + "\n\n"
    for output in last:
        others = "".join(f" && {other}_tvalid" for other in last if other != output)
        text += f"    assign {output}_leaves = m_axis_tready{others};\n"
    text += "    assign m_axis_tvalid = " + " && ".join(f"{output}_tvalid" for output in last) + ";\n"
    parts = []
    for name, index, _, size in output_fields(pipeline):
        output = pipeline.outputs[pipeline.results.index(name)]
        dtype = pipeline.by_name[output].output.dtype
        high = (index + 1) * dtype.width - 1
        value = f"{output}_tdata[{high}:{index * dtype.width}]"
        extra = size - dtype.width
        sign = f"{output}_tdata[{high}]" if dtype.signed else "1'b0"
        parts.append(f"{{{{{extra}{{{sign}}}}}, {value}}}" if extra else value)
    text += "    assign m_axis_tdata = {" + ", ".join(reversed(parts)) + "};\nendmodule\n"
    return text

"""The generated Verilog: a file for every module of the pipeline."""

from trigger_ml.firmware.ir.ops import GlobalMaxPool
from trigger_ml.firmware.rtl.dataflow import (
    FifoModule,
    FlattenModule,
    Module,
    PointModule,
    Stream,
    SumModule,
    WindowModule,
)
from trigger_ml.firmware.rtl.modules import chain, counter, describe, instances, results, verilog_module
from trigger_ml.firmware.rtl.text import (
    bits_for,
    concat,
    kernel_output,
    range_of,
)
from trigger_ml.firmware.rtl.window import window_module

__all__ = ["describe", "verilog_of"]


def _point(module: PointModule, sources: list[Stream]) -> str:
    kernel = module.kernel
    assert kernel is not None
    names = ["s_axis"] if len(sources) == 1 else [f"s{i}_axis" for i in range(len(sources))]
    every = " && ".join(f"{name}_tvalid" for name in names)
    body = chain(module.depth, every)
    if module.held:
        beats = module.output.beats
        beat = bits_for(beats)
        body += f"    // what serves a whole frame is taken with the frame's last beat\n    reg {range_of(beat)} beat;\n"
        body += f"    wire last = beat == {beat}'d{beats - 1};\n"
        body += f"    always @(posedge clk)\n        if (rst) beat <= {beat}'d0;\n        else begin\n"
        body += counter("beat", beats, f"ce && {every}") + "        end\n"
    for i, name in enumerate(names):
        others = "".join(f" && {other}_tvalid" for j, other in enumerate(names) if j != i)
        body += f"    assign {name}_tready = ce{others}{' && last' if i in module.held else ''};\n"
    inputs = [
        [
            (
                f"{name}_tdata",
                lane * (i not in module.held) * source.position_bits + channel * source.dtype.width,
            )
            for i, (name, source) in enumerate(zip(names, sources, strict=True))
            for channel in range(source.channels)
        ]
        for lane in range(module.output.lanes)
    ]
    body += instances(kernel, module.output.lanes, inputs) + results(kernel, module.output)
    return verilog_module(module, sources, body)


def _fifo(module: FifoModule, sources: list[Stream]) -> str:
    address, count = bits_for(module.capacity), bits_for(module.capacity + 1)
    last = module.capacity - 1
    body = f"""    (* ram_style = "{"block" if module.block else "distributed"}" *)
    reg {range_of(module.output.bits)} memory [0:{last}];
    reg {range_of(address)} head, tail;
    reg {range_of(count)} held;
    assign s_axis_tready = held != {count}'d{module.capacity};
    wire push = s_axis_tvalid && s_axis_tready;
"""
    if module.block:
        body += f"""    // the memory's output register holds the beat that leaves next
    reg {range_of(module.output.bits)} word;
    reg full;
    wire pop = held != {count}'d0 && (!full || m_axis_tready);
    assign m_axis_tvalid = full;
    assign m_axis_tdata = word;
    always @(posedge clk) if (pop) word <= memory[head];
    always @(posedge clk)
        if (rst) full <= 1'b0;
        else if (pop) full <= 1'b1;
        else if (m_axis_tready) full <= 1'b0;
"""
    else:
        body += f"""    assign m_axis_tvalid = held != {count}'d0;
    assign m_axis_tdata = memory[head];
    wire pop = m_axis_tvalid && m_axis_tready;
"""
    body += f"""    always @(posedge clk) if (push) memory[tail] <= s_axis_tdata;
    always @(posedge clk)
        if (rst) begin
            head <= {address}'d0;
            tail <= {address}'d0;
            held <= {count}'d0;
        end else begin
            if (push) tail <= tail == {address}'d{last} ? {address}'d0 : tail + {address}'d1;
            if (pop) head <= head == {address}'d{last} ? {address}'d0 : head + {address}'d1;
            if (push && !pop) held <= held + {count}'d1;
            if (pop && !push) held <= held - {count}'d1;
        end
"""
    return verilog_module(module, sources, body)


def _sum(module: SumModule, sources: list[Stream]) -> str:
    source, output = module.source, module.output
    width, position = source.dtype.width, source.position_bits
    beat, column = bits_for(source.beats), bits_for(source.row_beats)
    body = "    wire ce = !m_axis_tvalid || m_axis_tready;\n    assign s_axis_tready = ce;\n"
    beyond = source.row_beats * source.lanes - source.width
    maximum = isinstance(module.nodes[0], GlobalMaxPool)
    tracks_column = beyond > 0
    if tracks_column:
        body += f"    // lanes beyond the end of a row do not count\n    reg {range_of(column)} column;\n"
        body += f"    wire row_end = column == {column}'d{source.row_beats - 1};\n"
    lanes = []
    for lane in range(source.lanes):
        low = lane * position
        text = f"s_axis_tdata[{low + position - 1}:{low}]"
        masked = tracks_column and lane >= source.lanes - beyond
        # the first lane, once more, changes no maximum
        usual = f"(row_end ? s_axis_tdata[{position - 1}:0] : {text})"
        usual = usual if maximum else f"({text} & {{{position}{{!row_end}}}})"
        lanes.append(usual if masked else text)
    body += f"    wire {range_of(source.bits)} counted = {concat(lanes)};\n"
    if source.lanes == 1:
        parts, sum_type = ["counted"] * source.channels, source.dtype
        body += "    wire summed = s_axis_tvalid && s_axis_tready;\n"
    else:
        assert module.kernel is not None
        kernel = module.kernel
        sum_type = output.dtype
        bits = module.depth
        shifted = "s_axis_tvalid" if bits == 1 else f"{{in_flight[{bits - 2}:0], s_axis_tvalid}}"
        body += f"    // one value of all lanes\n    reg {range_of(bits)} in_flight;\n"
        body += f"    always @(posedge clk)\n        if (rst) in_flight <= {bits}'d0;\n"
        body += f"        else if (ce) in_flight <= {shifted};\n"
        body += f"    wire summed = in_flight[{bits - 1}] && ce;\n"
        inputs = [
            ("counted", lane * position + c * width)
            for lane in range(source.lanes)
            for c in range(source.channels)
        ]
        body += instances(kernel, 1, [inputs])
        body += f"    wire {range_of(output.bits)} lane_sums = {concat(kernel_output(kernel, 'result0', output.dtype))};\n"
        parts = ["lane_sums"] * source.channels
    full = output.dtype.width
    terms = []
    for c, name in enumerate(parts):
        size = min(full, sum_type.width)
        value = f"{name}[{c * sum_type.width + size - 1}:{c * sum_type.width}]"
        if full > size:
            sign = f"{name}[{c * sum_type.width + size - 1}]" if sum_type.signed else "1'b0"
            value = f"{{{{{full - size}{{{sign}}}}}, {value}}}"
        held = f"total[{(c + 1) * full - 1}:{c * full}]"
        if maximum:
            sign = "$signed" if output.dtype.signed else ""
            more = f"first || {sign}({value}) > {sign}({held})"
            terms.append(f"            if (summed && ({more})) {held} <= {value};")
        else:
            terms.append(f"            if (summed) {held} <= (first ? {full}'d0 : {held}) + {value};")
    body += f"""    reg {range_of(beat)} beat;
    wire first = beat == {beat}'d0;
    wire last = beat == {beat}'d{source.beats - 1};
    reg {range_of(output.bits)} total;
    reg done;
    assign m_axis_tvalid = done;
    assign m_axis_tdata = total;
    always @(posedge clk)
        if (rst) begin
            beat <= {beat}'d0;
            done <= 1'b0;
        end else begin
            if (ce) done <= summed && last;
            if (summed) beat <= last ? {beat}'d0 : beat + {beat}'d1;
        end
    always @(posedge clk) begin
{chr(10).join(terms)}
    end
"""
    if tracks_column:
        body += (
            "    always @(posedge clk)\n        if (rst) column <= " + f"{column}'d0;\n        else begin\n"
        )
        body += counter("column", source.row_beats, "s_axis_tvalid && s_axis_tready") + "        end\n"
    return verilog_module(module, sources, body)


def _flatten(module: FlattenModule, sources: list[Stream]) -> str:
    source = module.source
    beat = bits_for(source.beats)
    lines = []
    for index in range(source.beats):
        row, column = divmod(index, source.row_beats)
        first = row * source.width + column * source.lanes
        count = min(source.lanes, source.width - column * source.lanes)
        low, size = first * source.position_bits, count * source.position_bits
        lines.append(
            f"            if (beat == {beat}'d{index}) held[{low + size - 1}:{low}] <= s_axis_tdata[{size - 1}:0];"
        )
    body = f"""    reg {range_of(module.output.bits)} held;
    reg {range_of(beat)} beat;
    reg full;
    assign m_axis_tvalid = full;
    assign m_axis_tdata = held;
    assign s_axis_tready = !full || m_axis_tready;
    wire take = s_axis_tvalid && s_axis_tready;
    always @(posedge clk)
        if (rst) begin
            beat <= {beat}'d0;
            full <= 1'b0;
        end else begin
            if (s_axis_tready) full <= take && beat == {beat}'d{source.beats - 1};
            if (take) beat <= beat == {beat}'d{source.beats - 1} ? {beat}'d0 : beat + {beat}'d1;
        end
    always @(posedge clk)
        if (take) begin
{chr(10).join(lines)}
        end
"""
    return verilog_module(module, sources, body)


def verilog_of(module: Module, sources: list[Stream]) -> str:
    """Verilog of a module, without its kernel.

    Parameters
    ----------
    module : Module
        With its kernel made.
    sources : list of Stream
        Of its inputs.
    """
    match module:
        case PointModule():
            return _point(module, sources)
        case FifoModule():
            return _fifo(module, sources)
        case SumModule():
            return _sum(module, sources)
        case FlattenModule():
            return _flatten(module, sources)
        case WindowModule():
            return window_module(module, sources)
    raise TypeError(f"no module for {type(module).__name__}")

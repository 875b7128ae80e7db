"""The generated Verilog: one module, and one file, for every stage."""

from trigger_ml.firmware.rtl.kernels import Kernel
from trigger_ml.firmware.rtl.stages import (
    FifoStage,
    FlattenStage,
    PointStage,
    Stage,
    Stream,
    SumStage,
    WindowStage,
)
from trigger_ml.firmware.rtl.text import (
    any_of,
    bits_for,
    concat,
    header,
    instance,
    kernel_input,
    kernel_output,
    range_of,
)

__all__ = ["describe", "stage_module"]


def _stream_text(stream: Stream) -> str:
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


def _ports(stage: Stage, sources: list[Stream]) -> str:
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


def _chain(bits: int, first: str) -> str:
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


def _instances(kernel: Kernel, copies: int, inputs: list[list[tuple[str, int]]]) -> str:
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


def _results(kernel: Kernel, output: Stream) -> str:
    parts = [part for i in range(output.lanes) for part in kernel_output(kernel, f"result{i}", output.dtype)]
    return f"    assign m_axis_tdata = {concat(parts)};\n"


def _module(stage: Stage, sources: list[Stream], body: str) -> str:
    lines = [
        *describe(stage),
        *(f"in:  {_stream_text(s)}" for s in sources),
        f"out: {_stream_text(stage.output)}",
    ]
    return f"{header(lines)}module {stage.name} (\n{_ports(stage, sources)}\n);\n{body}endmodule\n"


def _point(stage: PointStage, sources: list[Stream]) -> str:
    kernel = stage.kernel
    assert kernel is not None
    names = ["s_axis"] if len(sources) == 1 else [f"s{i}_axis" for i in range(len(sources))]
    every = " && ".join(f"{name}_tvalid" for name in names)
    body = _chain(stage.depth, every)
    for i, name in enumerate(names):
        others = "".join(f" && {other}_tvalid" for j, other in enumerate(names) if j != i)
        body += f"    assign {name}_tready = ce{others};\n"
    inputs = [
        [
            (f"{name}_tdata", lane * source.position_bits + channel * source.dtype.width)
            for name, source in zip(names, sources, strict=True)
            for channel in range(source.channels)
        ]
        for lane in range(stage.output.lanes)
    ]
    body += _instances(kernel, stage.output.lanes, inputs) + _results(kernel, stage.output)
    return _module(stage, sources, body)


def _fifo(stage: FifoStage, sources: list[Stream]) -> str:
    address, count = bits_for(stage.capacity), bits_for(stage.capacity + 1)
    last = stage.capacity - 1
    body = f"""    (* ram_style = "distributed" *)
    reg {range_of(stage.output.bits)} memory [0:{last}];
    reg {range_of(address)} head, tail;
    reg {range_of(count)} held;
    assign s_axis_tready = held != {count}'d{stage.capacity};
    assign m_axis_tvalid = held != {count}'d0;
    assign m_axis_tdata = memory[head];
    wire push = s_axis_tvalid && s_axis_tready;
    wire pop = m_axis_tvalid && m_axis_tready;
    always @(posedge clk) if (push) memory[tail] <= s_axis_tdata;
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
    return _module(stage, sources, body)


def _counter(name: str, states: int, enable: str, also: str = "") -> str:
    """A counter that wraps, inside a clocked block."""
    bits = bits_for(states)
    return f"            if ({enable}) {name} <= {name} == {bits}'d{states - 1} ? {bits}'d0 : {name} + {bits}'d1;{also}\n"


def _sum(stage: SumStage, sources: list[Stream]) -> str:
    source, output = stage.source, stage.output
    width, position = source.dtype.width, source.position_bits
    beat, column = bits_for(source.beats), bits_for(source.row_beats)
    body = "    wire ce = !m_axis_tvalid || m_axis_tready;\n    assign s_axis_tready = ce;\n"
    beyond = source.row_beats * source.lanes - source.width
    tracks_column = beyond > 0
    if tracks_column:
        body += f"    // lanes beyond the end of a row do not count\n    reg {range_of(column)} column;\n"
        body += f"    wire row_end = column == {column}'d{source.row_beats - 1};\n"
    lanes = []
    for lane in range(source.lanes):
        low = lane * position
        text = f"s_axis_tdata[{low + position - 1}:{low}]"
        masked = tracks_column and lane >= source.lanes - beyond
        lanes.append(f"({text} & {{{position}{{!row_end}}}})" if masked else text)
    body += f"    wire {range_of(source.bits)} counted = {concat(lanes)};\n"
    if source.lanes == 1:
        parts, sum_type = ["counted"] * source.channels, source.dtype
        body += "    wire summed = s_axis_tvalid && s_axis_tready;\n"
    else:
        assert stage.kernel is not None
        kernel = stage.kernel
        sum_type = output.dtype
        bits = stage.depth
        shifted = "s_axis_tvalid" if bits == 1 else f"{{in_flight[{bits - 2}:0], s_axis_tvalid}}"
        body += f"    // sum over the lanes\n    reg {range_of(bits)} in_flight;\n"
        body += f"    always @(posedge clk)\n        if (rst) in_flight <= {bits}'d0;\n"
        body += f"        else if (ce) in_flight <= {shifted};\n"
        body += f"    wire summed = in_flight[{bits - 1}] && ce;\n"
        inputs = [
            ("counted", lane * position + c * width)
            for lane in range(source.lanes)
            for c in range(source.channels)
        ]
        body += _instances(kernel, 1, [inputs])
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
        body += _counter("column", source.row_beats, "s_axis_tvalid && s_axis_tready") + "        end\n"
    return _module(stage, sources, body)


def _flatten(stage: FlattenStage, sources: list[Stream]) -> str:
    source = stage.source
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
    body = f"""    reg {range_of(stage.output.bits)} held;
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
    return _module(stage, sources, body)


def _row_leaves_map(stage: WindowStage, i: int) -> list[int]:
    """Output rows whose window's row ``i`` is padding."""
    first = -stage.padding[0][0] + i
    rows = range(stage.output.height)
    return [r for r in rows if not 0 <= r * stage.strides[0] + first < stage.source.height]


def _memories(stage: WindowStage) -> str:
    """Row memories with their write side, and the rows of the window in order."""
    source, rows, taps = stage.source, stage.rows, stage.window[0]
    word, bank = bits_for(source.row_beats), bits_for(rows)
    columns = stage.group * source.position_bits
    group_bits, row_bits = bits_for(stage.row_groups), bits_for(stage.output.height)
    text = f"""    // memory of {rows} rows, each of {source.row_beats} words
    wire write = s_axis_tvalid && s_axis_tready;
    reg {range_of(word)} write_word;
    reg {range_of(bank)} write_row;
    wire row_written = write && write_word == {word}'d{source.row_beats - 1};
    always @(posedge clk)
        if (rst) begin
            write_word <= {word}'d0;
            write_row <= {bank}'d0;
        end else begin
"""
    text += _counter("write_word", source.row_beats, "write") + _counter("write_row", rows, "row_written")
    text += f"""        end

    reg {range_of(row_bits)} row; // output row being read
    reg {range_of(group_bits)} group; // next columns to read of its input rows
    reg {range_of(bank)} top; // memory of the window's first row
"""
    parts = stage.parts
    shift = bits_for(parts) if parts > 1 else 0
    assert parts == 1 << shift, "groups divide a word in powers of two"
    if group_bits <= shift or source.row_beats == 1:
        text += f"    wire {range_of(word)} read_word = {word}'d0;\n"
    else:
        high = min(group_bits, shift + word)
        value = f"group[{high - 1}:{shift}]"
        missing = word - (high - shift)
        text += f"    wire {range_of(word)} read_word = "
        text += f"{{{missing}'d0, {value}}};\n" if missing else f"{value};\n"
    single = taps == 1
    if single:
        # one row at a time: all rows in one memory
        total = rows << word
        text += (
            f'    (* ram_style = "distributed" *)\n    reg {range_of(source.bits)} memory [0:{total - 1}];\n'
        )
        text += "    always @(posedge clk) if (write) memory[{write_row, write_word}] <= s_axis_tdata;\n"
        text += f"    wire {range_of(source.bits)} word0 = memory[{{top, read_word}}];\n"
    else:
        for i in range(rows):
            text += f'    (* ram_style = "distributed" *)\n    reg {range_of(source.bits)} memory{i} [0:{source.row_beats - 1}];\n'
            text += f"    always @(posedge clk) if (write && write_row == {bank}'d{i}) memory{i}[write_word] <= s_axis_tdata;\n"
            text += f"    wire {range_of(source.bits)} word{i} = memory{i}[read_word];\n"
    for i in range(1 if single else rows):
        part = f"word{i}"
        if parts > 1:
            part += f"[group[{min(shift, group_bits) - 1}:0] * {columns} +: {columns}]"
        text += f"    wire {range_of(columns)} group{i} = {part};\n"
    for i in range(taps):
        outside = _row_leaves_map(stage, i)
        if single:
            choice = "group0"
        else:
            choice = f"group{(rows - 1 + i) % rows}"
            for position in range(rows - 2, -1, -1):
                choice = f"top == {bank}'d{position} ? group{(position + i) % rows} : {choice}"
        text += f"    wire {range_of(columns)} row{i} = {choice};\n"
        if outside:
            text += f"    wire outside{i} = {any_of('row', outside, row_bits)};\n"
    return text


def _cases(name: str, values: list[int], usual: int, bits: int, row_bits: int) -> str:
    """A signal that depends on the output row, mostly ``usual``."""
    expression = f"{bits}'sd{usual}"
    for row, value in enumerate(values):
        if value != usual:
            expression = f"row == {row_bits}'d{row} ? {bits}'sd{value} : {expression}"
    return f"    wire signed {range_of(bits)} {name} = {expression};\n"


def _reader(stage: WindowStage) -> str:
    """Which columns are read when, and when a window is complete."""
    source, output = stage.source, stage.output
    height, groups = output.height, stage.row_groups
    row_bits, group_bits, bank = bits_for(height), bits_for(groups), bits_for(stage.rows)
    need = [stage.need(r) for r in range(height)]
    retire = [stage.retire(r) for r in range(height)]
    span = max(stage.rows, *need, *retire) + source.height
    bits = span.bit_length() + 1
    usual_need, usual_retire = max(set(need), key=need.count), max(set(retire), key=retire.count)
    turn = source.height - (height - 1) * stage.strides[0]
    usual_turn, last_turn = stage.strides[0] % stage.rows, turn % stage.rows
    start = -stage.padding[0][0] % stage.rows
    tags = stage.ahead
    flush = f"group == {group_bits}'d0 && |pending" if tags else "1'b0"
    emits = [g for g in range(groups) if stage.emits(g)]
    emit_text = "1'b1" if len(emits) == groups else any_of("group", emits, group_bits)
    text = f"""
    // rows held, counted from the window's first real one (negative: rows that no window reads are awaited)
    reg signed {range_of(bits)} rows;
"""
    text += _cases("needed", need, usual_need, bits, row_bits) + _cases(
        "retired", retire, usual_retire, bits, row_bits
    )
    text += f"""    assign s_axis_tready = rows != {bits}'sd{stage.rows};
    wire present = rows >= needed || (rows + {bits}'sd1 == needed && write_word > read_word);
    // columns of the next row push the last windows of a row out; without a next row, empty steps do
    wire step = ce && (present || ({flush}));
    wire read = ce && present;
    wire row_read = read && group == {group_bits}'d{groups - 1};
    wire frame_read = row_read && row == {row_bits}'d{height - 1};
    wire tag = present && ({emit_text});
"""
    if tags:
        shifted = "tag" if tags == 1 else f"{{pending[{tags - 2}:0], tag}}"
        text += f"""    reg {range_of(tags)} pending; // windows that wait for columns to their right
    always @(posedge clk)
        if (rst) pending <= {tags}'d0;
        else if (step) pending <= {shifted};
    assign complete = step && pending[{tags - 1}];
"""
    else:
        text += "    assign complete = read && tag;\n"
    text += f"""    always @(posedge clk)
        if (rst) begin
            rows <= {bits}'sd0;
            row <= {row_bits}'d0;
            group <= {group_bits}'d0;
            top <= {bank}'d{start};
        end else begin
            rows <= rows + (row_written ? {bits}'sd1 : {bits}'sd0) - (row_read ? retired : {bits}'sd0);
"""
    text += _counter("group", groups, "read") + _counter("row", height, "row_read")

    def turned(by: int) -> str:
        if by == 0:
            return "top"
        limit = stage.rows - by
        return f"(top >= {bank}'d{limit} ? top - {bank}'d{limit} : top + {bank}'d{by})"

    text += f"            if (row_read) top <= frame_read ? {turned(last_turn)} : {turned(usual_turn)};\n        end\n"
    return text


def _columns(stage: WindowStage) -> str:
    """Shift registers of columns, and the window register in front of the kernels."""
    source, output = stage.source, stage.output
    position, history, group = source.position_bits, stage.history, stage.group
    beats = output.row_beats
    beat = bits_for(beats)
    text = f"\n    // columns of the window; those outside the map are zero\n    reg {range_of(beat)} beat; // output beat of the row\n"
    text += f"    always @(posedge clk)\n        if (rst) beat <= {beat}'d0;\n        else begin\n"
    text += _counter("beat", beats, "complete") + "        end\n"
    span = (history + group) * position
    for i in range(stage.window[0]):
        fresh = f"(outside{i} ? {group * position}'d0 : row{i})" if _row_leaves_map(stage, i) else f"row{i}"
        if history:
            text += f"    reg {range_of(history * position)} past{i};\n"
            text += f"    wire {range_of(span)} span{i} = {{{fresh}, past{i}}};\n"
            text += f"    always @(posedge clk) if (step) past{i} <= span{i}[{span - 1}:{span - history * position}];\n"
        else:
            text += f"    wire {range_of(span)} span{i} = {fresh};\n"
    width = stage.window[0] * stage.columns * position
    text += f"    reg {range_of(width)} window;\n"
    stores = []
    for x in range(stage.columns):
        outside = []
        for b in range(beats):
            column = b * output.lanes * stage.strides[1] - stage.padding[1][0] + x
            # columns of lanes that are no position do not matter
            if not 0 <= column < source.width:
                outside.append(b)
        mask = any_of("beat", outside, beat)
        if outside:
            text += f"    wire void{x} = {mask};\n"
        for i in range(stage.window[0]):
            low = (i * stage.columns + x) * position
            value = f"span{i}[{(x + 1) * position - 1}:{x * position}]"
            if outside:
                value = f"void{x} ? {position}'d0 : {value}"
            stores.append(f"            window[{low + position - 1}:{low}] <= {value};")
    text += "    always @(posedge clk)\n        if (ce) begin\n" + "\n".join(stores) + "\n        end\n\n"
    return text


def _window(stage: WindowStage, sources: list[Stream]) -> str:
    body = "    wire complete; // a window goes to the kernels\n" + _chain(1 + stage.depth, "complete")
    body += "\n" + _memories(stage) + _reader(stage) + _columns(stage)
    if stage.kernel is None:
        return _module(stage, sources, body + "    assign m_axis_tdata = window;\n")
    source = stage.source
    inputs = [
        [
            (
                "window",
                ((i * stage.columns + lane * stage.strides[1] + x) * source.channels + c)
                * source.dtype.width,
            )
            for i in range(stage.window[0])
            for x in range(stage.window[1])
            for c in range(source.channels)
        ]
        for lane in range(stage.output.lanes)
    ]
    body += _instances(stage.kernel, stage.output.lanes, inputs) + _results(stage.kernel, stage.output)
    return _module(stage, sources, body)


def stage_module(stage: Stage, sources: list[Stream]) -> str:
    """Verilog of a stage, without its kernel.

    Parameters
    ----------
    stage : Stage
        With its kernel made.
    sources : list of Stream
        Of its inputs.
    """
    match stage:
        case PointStage():
            return _point(stage, sources)
        case FifoStage():
            return _fifo(stage, sources)
        case SumStage():
            return _sum(stage, sources)
        case FlattenStage():
            return _flatten(stage, sources)
        case WindowStage():
            return _window(stage, sources)
    raise TypeError(f"no module for {type(stage).__name__}")

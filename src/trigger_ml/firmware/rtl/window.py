"""Verilog of a sliding window: rows of memory, a reader, a shift register of columns, the kernels."""

from trigger_ml.firmware.rtl.dataflow import (
    Stream,
    WindowModule,
)
from trigger_ml.firmware.rtl.modules import chain, counter, instances, results, verilog_module
from trigger_ml.firmware.rtl.text import (
    any_of,
    bits_for,
    constant,
    range_of,
)

__all__ = ["window_module"]


def _row_leaves_map(module: WindowModule, i: int) -> list[int]:
    """Output rows whose window's row ``i`` is padding."""
    first = -module.padding[0][0] + i
    rows = range(module.output.height)
    return [r for r in rows if not 0 <= r * module.strides[0] + first < module.source.height]


def _memories(module: WindowModule) -> str:
    """Row memories with their write side, and the rows of the window in order."""
    source, rows, taps = module.source, module.rows, module.window[0]
    word, bank = bits_for(source.row_beats), bits_for(rows)
    columns = module.group * source.position_bits
    group_bits, row_bits = bits_for(module.row_groups), bits_for(module.output.height)
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
    text += counter("write_word", source.row_beats, "write") + counter("write_row", rows, "row_written")
    text += f"""        end

    reg {range_of(row_bits)} row; // output row being read
    reg {range_of(group_bits)} group; // next columns to read of its input rows
    reg {range_of(bank)} top; // memory of the window's first row
"""
    parts = module.parts
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
        outside = _row_leaves_map(module, i)
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


def _reader(module: WindowModule) -> str:
    """Which columns are read when, and when a window is complete."""
    source, output = module.source, module.output
    height, groups = output.height, module.row_groups
    row_bits, group_bits, bank = bits_for(height), bits_for(groups), bits_for(module.rows)
    need = [module.need(r) for r in range(height)]
    retire = [module.retire(r) for r in range(height)]
    span = max(module.rows, *need, *retire) + source.height
    bits = span.bit_length() + 1
    usual_need, usual_retire = max(set(need), key=need.count), max(set(retire), key=retire.count)
    turn = source.height - (height - 1) * module.strides[0]
    usual_turn, last_turn = module.strides[0] % module.rows, turn % module.rows
    start = -module.padding[0][0] % module.rows
    tags = module.ahead
    flush = f"group == {group_bits}'d0 && |pending" if tags else "1'b0"
    emits = [g for g in range(groups) if module.emits(g)]
    emit_text = "1'b1" if len(emits) == groups else any_of("group", emits, group_bits)
    text = f"""
    // rows held, counted from the window's first real one (negative: rows that no window reads are awaited)
    reg signed {range_of(bits)} rows;
"""
    text += _cases("needed", need, usual_need, bits, row_bits) + _cases(
        "retired", retire, usual_retire, bits, row_bits
    )
    text += f"""    assign s_axis_tready = rows != {bits}'sd{module.rows};
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
    text += counter("group", groups, "read") + counter("row", height, "row_read")

    def turned(by: int) -> str:
        if by == 0:
            return "top"
        limit = module.rows - by
        return f"(top >= {bank}'d{limit} ? top - {bank}'d{limit} : top + {bank}'d{by})"

    text += f"            if (row_read) top <= frame_read ? {turned(last_turn)} : {turned(usual_turn)};\n        end\n"
    return text


def _edge(module: WindowModule, positions: int) -> str:
    """What some positions beyond the map's edge hold."""
    source = module.source
    if module.outside == 0:
        return f"{positions * source.position_bits}'d0"
    return f"{{{positions * source.channels}{{{constant(module.outside, source.dtype.width)}}}}}"


def _columns(module: WindowModule) -> str:
    """Shift registers of columns, and the window register in front of the kernels."""
    source, output = module.source, module.output
    position, history, group = source.position_bits, module.history, module.group
    beats = output.row_beats
    beat = bits_for(beats)
    text = f"\n    // columns of the window; those outside the map are constant\n    reg {range_of(beat)} beat; // output beat of the row\n"
    text += f"    always @(posedge clk)\n        if (rst) beat <= {beat}'d0;\n        else begin\n"
    text += counter("beat", beats, "complete") + "        end\n"
    span = (history + group) * position
    for i in range(module.window[0]):
        fresh = f"(outside{i} ? {_edge(module, group)} : row{i})" if _row_leaves_map(module, i) else f"row{i}"
        if history:
            text += f"    reg {range_of(history * position)} past{i};\n"
            text += f"    wire {range_of(span)} span{i} = {{{fresh}, past{i}}};\n"
            text += f"    always @(posedge clk) if (step) past{i} <= span{i}[{span - 1}:{span - history * position}];\n"
        else:
            text += f"    wire {range_of(span)} span{i} = {fresh};\n"
    width = module.window[0] * module.columns * position
    text += f"    reg {range_of(width)} window;\n"
    stores = []
    for x in range(module.columns):
        outside = []
        for b in range(beats):
            column = b * output.lanes * module.strides[1] - module.padding[1][0] + x
            # columns of lanes that are no position do not matter
            if not 0 <= column < source.width:
                outside.append(b)
        mask = any_of("beat", outside, beat)
        if outside:
            text += f"    wire void{x} = {mask};\n"
        for i in range(module.window[0]):
            low = (i * module.columns + x) * position
            value = f"span{i}[{(x + 1) * position - 1}:{x * position}]"
            if outside:
                value = f"void{x} ? {_edge(module, 1)} : {value}"
            stores.append(f"            window[{low + position - 1}:{low}] <= {value};")
    text += "    always @(posedge clk)\n        if (ce) begin\n" + "\n".join(stores) + "\n        end\n\n"
    return text


def window_module(module: WindowModule, sources: list[Stream]) -> str:
    """Verilog of a window module, without its kernel."""
    body = "    wire complete; // a window goes to the kernels\n" + chain(1 + module.depth, "complete")
    body += "\n" + _memories(module) + _reader(module) + _columns(module)
    if module.kernel is None:
        return verilog_module(module, sources, body + "    assign m_axis_tdata = window;\n")
    source = module.source
    inputs = [
        [
            (
                "window",
                ((i * module.columns + lane * module.strides[1] + x) * source.channels + c)
                * source.dtype.width,
            )
            for i in range(module.window[0])
            for x in range(module.window[1])
            for c in range(source.channels)
        ]
        for lane in range(module.output.lanes)
    ]
    body += instances(module.kernel, module.output.lanes, inputs) + results(module.kernel, module.output)
    return verilog_module(module, sources, body)

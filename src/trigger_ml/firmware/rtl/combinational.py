"""Verilog of alkaid's programs as plain expressions.

alkaid's own Verilog instantiates a parameterized adder for every operation; tools then specialize
thousands of modules, which takes Verilator and Yosys several times longer than these expressions. The
opcodes are those of alkaid's program format (``Op`` in ``alkaid.types``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from alkaid.types import CombLogic, Op

__all__ = ["pipeline_module"]


@dataclass(frozen=True)
class _Value:
    """A wire: its name and how its bits weigh (``width`` bits, the last one ``2**-fraction``)."""

    name: str
    signed: bool
    width: int
    fraction: int

    @property
    def sign(self) -> str:
        return f"{self.name}[{self.width - 1}]" if self.signed else "1'b0"

    def bits(self, low: int, width: int) -> str:
        """``width`` bits from ``low`` on; zeros below the wire, its sign above."""
        parts = []
        above = low + width - max(self.width, low)
        if above > 0:
            parts.append(f"{{{above}{{{self.sign}}}}}" if self.signed else f"{above}'d0")
        first, last = max(low, 0), min(low + width, self.width) - 1
        if last >= first:
            whole = first == 0 and last == self.width - 1
            parts.append(self.name if whole else f"{self.name}[{last}:{first}]")
        below = min(-low, width)
        if below > 0:
            parts.append(f"{below}'d0")
        return parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"


def _literal(value: int, width: int) -> str:
    return f"{width}'h{value & ((1 << width) - 1):x}"


def _sum(out: _Value, a: _Value, b: _Value, shift: int, sign: str) -> list[str]:
    """``out = a +- b * 2**shift``."""
    b_fraction = b.fraction - shift
    finest = max(a.fraction, b_fraction)
    dropped = finest - out.fraction
    width = out.width + dropped
    a_low, b_low = a.fraction - finest, b_fraction - finest
    if dropped == 0 and b_low < 0 and -b_low < width:
        # the lowest bits of a pass; the adder is that much shorter
        low, rest = -b_low, width + b_low
        upper = f"{a.bits(low, rest)} {sign} {b.bits(0, rest)}"
        return [
            f"wire [{rest - 1}:0] {out.name}_u = {upper};",
            f"wire [{width - 1}:0] {out.name} = {{{out.name}_u, {a.bits(0, low)}}};",
        ]
    if dropped == 0 and a_low < 0 and -a_low < width and sign == "+":
        low, rest = -a_low, width + a_low
        upper = f"{a.bits(0, rest)} + {b.bits(low, rest)}"
        return [
            f"wire [{rest - 1}:0] {out.name}_u = {upper};",
            f"wire [{width - 1}:0] {out.name} = {{{out.name}_u, {b.bits(0, low)}}};",
        ]
    expression = f"{a.bits(a_low, width)} {sign} {b.bits(b_low, width)}"
    return _dropping(out, expression, dropped)


def _dropping(out: _Value, expression: str, dropped: int) -> list[str]:
    """Assign an expression of ``out.width + dropped`` bits without its ``dropped`` lowest ones."""
    if dropped == 0:
        return [f"wire [{out.width - 1}:0] {out.name} = {expression};"]
    width = out.width + dropped
    return [
        f"wire [{width - 1}:0] {out.name}_f = {expression};",
        f"wire [{out.width - 1}:0] {out.name} = {out.name}_f[{width - 1}:{dropped}];",
    ]


def _constant_sum(out: _Value, a: _Value, value: int, fraction: int) -> list[str]:
    finest = max(a.fraction, fraction)
    dropped = finest - out.fraction
    width = out.width + dropped
    term = _literal(value << (finest - fraction), width)
    return _dropping(out, f"{a.bits(a.fraction - finest, width)} + {term}", dropped)


def _logic(out: _Value, a: _Value, b: _Value, shift: int, operator: str) -> list[str]:
    b_fraction = b.fraction - shift
    left = a.bits(a.fraction - out.fraction, out.width)
    right = b.bits(b_fraction - out.fraction, out.width)
    return [f"wire [{out.width - 1}:0] {out.name} = {left} {operator} {right};"]


def _table(logic: CombLogic, op: Op, out: _Value, key: _Value) -> list[str]:
    """A case for each value of the key that can occur."""
    assert logic.lookup_tables is not None
    entries = logic.lookup_tables[op.data[0]].padded_table(logic.ops[op.addr[0]].qint)
    digits = -(-out.width // 4)
    cases = [
        f"    {key.width}'d{place}: {out.name} = {out.width}'h{int(entry) & ((1 << out.width) - 1):0{digits}x};"
        for place, entry in enumerate(entries)
        if not np.isnan(entry)
    ]
    return [
        f"reg [{out.width - 1}:0] {out.name};",
        f"always @* case ({key.name})",
        *cases,
        f"    default: {out.name} = {{{out.width}{{1'bx}}}};",
        "endcase",
    ]


def _operation(logic: CombLogic, op: Op, out: _Value, values: list[_Value], inputs: list[str]) -> list[str]:
    declared = f"wire [{out.width - 1}:0] {out.name} = "
    operands = [values[i] for i in op.addr]
    match op.opcode:
        case -1:
            return [f"{declared}{inputs[op.data[0]]};"]
        case -2:
            a = operands[0]
            return [f"{declared}-{a.bits(a.fraction - out.fraction, out.width)};"]
        case 0 | 1:
            return _sum(out, operands[0], operands[1], op.data[0], "-" if op.opcode else "+")
        case 2:
            a = operands[0]
            passed = a.bits(a.fraction - out.fraction, out.width)
            if not a.signed:
                return [f"{declared}{passed};"]
            return [f"{declared}{passed} & {{{out.width}{{~{a.sign}}}}};"]
        case 3:
            a = operands[0]
            return [f"{declared}{a.bits(a.fraction - op.data[0] - out.fraction, out.width)};"]
        case 4:
            return _constant_sum(out, operands[0], op.data[0], op.data[1])
        case 5:
            return [f"{declared}{_literal(op.data[0], out.width)};"]
        case 6:
            a, b, key = operands
            left = a.bits(a.fraction - out.fraction, out.width)
            right = b.bits(b.fraction - op.data[0] - out.fraction, out.width)
            return [f"{declared}{key.name}[{key.width - 1}] ? {left} : {right};"]
        case 8:
            return _table(logic, op, out, operands[0])
        case 9:
            a = operands[0]
            symbol = ("~", "|", "&")[op.data[0]]
            return [f"{declared}{symbol}{a.name};"]
        case 10:
            return _logic(out, operands[0], operands[1], op.data[0], ("&", "|", "^")[op.data[1]])
    raise NotImplementedError(f"alkaid's operation {op.opcode} is not written as Verilog")


def _values(logic: CombLogic, prefix: str) -> list[_Value]:
    result = []
    for number, op in enumerate(logic.ops):
        k, i, f = op.qint.kif
        result.append(_Value(f"{prefix}v{number}", bool(k), int(k + i + f), int(f)))
    return result


def _stage(logic: CombLogic, prefix: str, inputs: list[str]) -> tuple[list[str], list[_Value | None]]:
    """Wires of one pipeline stage, and the values that leave it (None where nothing does)."""
    values = _values(logic, prefix)
    lines = []
    for op, value, count in zip(logic.ops, values, logic.ref_count, strict=True):
        if count and value.width > 0:
            lines += _operation(logic, op, value, values, inputs)
    outputs = [values[i] if i >= 0 and values[i].width > 0 else None for i in logic.out_idxs]
    return lines, outputs


def pipeline_module(stages: Sequence[CombLogic], name: str) -> str:
    """A module with ``clk``, ``ce``, ``model_inp`` and a registered ``model_out``.

    Parameters
    ----------
    stages : sequence of CombLogic
        The logic between registers; the outputs of one are the inputs of the next.
    name : str
    """
    inputs, low = [], 0
    for width in stages[0].inp_kifs.sum(axis=0).tolist():
        inputs.append(f"model_inp[{low + int(width) - 1}:{low}]")
        low += int(width)
    lines: list[str] = []
    for number, logic in enumerate(stages):
        wires, outputs = _stage(logic, f"s{number}_", inputs)
        lines += ["", f"// stage {number}", *wires]
        loads = []
        inputs = []
        for index, value in enumerate(outputs):
            register = f"r{number}_{index}"
            inputs.append(register)
            if value is not None:
                lines.append(f"reg [{value.width - 1}:0] {register};")
                loads.append(f"    {register} <= {value.name};")
        if loads:
            lines += ["always @(posedge clk) if (ce) begin", *loads, "end"]
    left = [register for register, value in zip(inputs, outputs, strict=True) if value is not None]
    body = "\n".join(f"    {line}".rstrip() for line in lines)
    out_bits = int(stages[-1].out_kifs.sum())
    return (
        f"module {name} (\n    input  wire clk,\n    input  wire ce,\n    input  wire [{low - 1}:0] model_inp,\n"
        f"    output wire [{out_bits - 1}:0] model_out\n);\n"
        # copies of a kernel then share their simulation code
        f"    /* verilator no_inline_module */{body}\n\n"
        f"    assign model_out = {{{', '.join(reversed(left))}}};\nendmodule\n"
    )

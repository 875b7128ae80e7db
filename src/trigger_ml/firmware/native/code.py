"""Text of the emulator's C++ while it grows."""

from collections.abc import Callable
from dataclasses import dataclass, field

from trigger_ml.core.fixed_point import MAX_WIDTH, Overflow, Rounding
from trigger_ml.firmware.ir.ops import Node, Quantize
from trigger_ml.firmware.native.plan import Plan

__all__ = ["Code", "elements", "literal"]

ROUND = {Rounding.TRN: "truncate", Rounding.RND: "half_up", Rounding.RND_CONV: "half_even"}
RANGE = {Overflow.SAT: "saturate", Overflow.WRAP: "wrap"}


@dataclass
class Code:
    """Lines of text, and where the values of a plan lie.

    Parameters
    ----------
    plan : Plan
    lines : list of str
    """

    plan: Plan
    lines: list[str] = field(default_factory=list)

    def add(self, *lines: str) -> None:
        """Append lines."""
        self.lines.extend(lines)

    def row(self, name: str, row: str) -> str:
        """First value of a row of a map, without the zeros before it."""
        buffer = self.plan.buffers[name]
        return f"&w.n{buffer.index}[{row}][{buffer.left * buffer.per_column}]"

    def kept(self, name: str, row: str) -> str:
        """Where the row that a step makes is kept."""
        buffer = self.plan.buffers[name]
        return self.row(name, f"({row}) % {buffer.rows}" if buffer.rows > 1 else "0")

    def padded(self, name: str, row: str) -> str:
        """Where a row of a source is kept; outside the map there are zeros."""
        buffer = self.plan.buffers[name]
        outside = f"({row}) < 0 || ({row}) >= {buffer.height}"
        return self.row(name, f"{outside} ? {buffer.rows} : ({row}) % {buffer.rows}")

    def quantized(self, node: Quantize, total: str, bits: int) -> str:
        """A sum in unsigned lanes, quantized, in the type that it is stored in."""
        plan = self.plan
        places = plan.network.bounds[node.inputs[0]].fraction - node.dtype.fraction
        dtype, kind = node.dtype, plan.buffers[node.name].stored
        rounding = node.rounding
        if places > MAX_WIDTH or places >= bits:
            # nothing is left but the sign
            rounding, places = Rounding.TRN, bits - 1
            if node.rounding is not Rounding.TRN:
                return f"V<{kind}>{{}}"
        options = f"Round::{ROUND[rounding]}, Range::{RANGE[node.overflow]}"
        return (
            f"quantize<uint{bits}_t, {kind}, {places}, {options}, {literal(dtype.minimum)}, "
            f"{literal(dtype.maximum)}, {dtype.width}>({total})"
        )


def literal(value: int) -> str:
    """An integer in C++: the most negative one has no literal."""
    return f"INT64_C({value})" if value > -(1 << 63) else "INT64_MIN"


def elements(code: Code, node: Node, value: Callable[[str], str]) -> None:
    """A step that goes through rows value by value; ``value`` makes one of its place in the sources' rows."""
    plan = code.plan
    for i, source in enumerate(node.inputs):
        code.add(f"    const V<{plan.buffers[source].ctype}> *const r{i} = {code.kept(source, 'y')};")
    made = plan.buffers[node.name]
    code.add(
        f"    V<{made.stored}> *const out = {code.kept(node.name, 'y')};",
        f"    for (int i = 0; i < {made.width * made.per_column}; ++i) {{",
    )
    if made.paired:
        code.add(f"        out[i] = together({value('2 * i')}, {value('2 * i + 1')});")
    else:
        code.add(f"        out[i] = {value('i')};")
    code.add("    }")

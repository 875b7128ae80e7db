"""Small pieces of Verilog text: ranges, slices, constants, kernel ports."""

from collections.abc import Iterable, Sequence

from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.rtl.kernels import Field, Kernel

__all__ = [
    "any_of",
    "bits_for",
    "comment",
    "concat",
    "constant",
    "header",
    "instance",
    "kernel_input",
    "kernel_output",
    "range_of",
]

# one slice: name of a vector, its lowest bit, its width
Slice = tuple[str, int, int]


def bits_for(count: int) -> int:
    """Bits of a counter with ``count`` states (at least one)."""
    return max(1, (count - 1).bit_length())


def range_of(width: int) -> str:
    """``[width-1:0]``."""
    return f"[{width - 1}:0]"


def constant(value: int, width: int) -> str:
    """A literal of ``width`` bits, in two's complement."""
    return f"{width}'h{value & ((1 << width) - 1):x}"


def any_of(name: str, values: Iterable[int], width: int) -> str:
    """True where the counter ``name`` has one of the values."""
    terms = [f"{name} == {width}'d{value}" for value in values]
    return " || ".join(terms) if terms else "1'b0"


def concat(parts: Sequence[str], indent: str = "        ") -> str:
    """Concatenation of parts given from the lowest bit on."""
    if len(parts) == 1:
        return parts[0]
    lines, line = [], ""
    for part in reversed(parts):
        if len(line) + len(part) > 96:
            lines.append(line)
            line = ""
        line += f"{part}, "
    lines.append(line.rstrip(", "))
    return "{\n" + "\n".join(f"{indent}    {text.rstrip()}" for text in lines) + f"\n{indent}}}"


def _merged(slices: Iterable[Slice]) -> list[Slice]:
    result: list[Slice] = []
    for name, low, width in slices:
        if width == 0:
            continue
        if result and result[-1][0] == name and result[-1][1] + result[-1][2] == low:
            result[-1] = (name, result[-1][1], result[-1][2] + width)
        else:
            result.append((name, low, width))
    return result


def _slice(piece: Slice) -> str:
    name, low, width = piece
    return f"{name}[{low + width - 1}:{low}]" if width > 1 else f"{name}[{low}]"


def kernel_input(kernel: Kernel, values: Sequence[tuple[str, int]]) -> str:
    """Input port of a kernel.

    Parameters
    ----------
    kernel : Kernel
    values : sequence of (str, int)
        Vector and lowest bit of every input integer.
    """
    pieces = _merged(
        (name, low + f.low, f.width) for (name, low), f in zip(values, kernel.inputs, strict=True)
    )
    return concat([_slice(piece) for piece in pieces], "            ")


def _widened(name: str, low: int, source: Field, width: int) -> list[str]:
    """A field of a kernel's output port as ``width`` bits, from the lowest on."""
    parts = [constant(0, min(source.low, width))] if source.low else []
    room = width - source.low
    if source.width and room > 0:
        kept = min(source.width, room)
        parts.append(_slice((name, low, kept)))
        room -= kept
    if room > 0:
        sign = f"{name}[{low + source.width - 1}]" if source.signed and source.width else None
        parts.append(f"{{{room}{{{sign}}}}}" if sign else constant(0, room))
    return parts


def kernel_output(kernel: Kernel, name: str, dtype: FixedPoint) -> list[str]:
    """Integers of a kernel's output port ``name`` as parts of ``dtype.width`` bits each."""
    if not kernel.live:
        return [constant(int(value), dtype.width) for value in kernel.constants]
    parts, low = [], 0
    for field in kernel.outputs:
        parts += _widened(name, low, field, dtype.width)
        low += field.width
    return parts


def comment(line: str) -> str:
    """One line of a comment; a name in it cannot end the line and go on as code."""
    return f"// {''.join(c if c.isprintable() else '?' for c in line)}".rstrip()


def header(lines: Sequence[str]) -> str:
    """A comment block."""
    return "\n".join(map(comment, lines)) + "\n"


def instance(module: str, name: str, ports: Sequence[tuple[str, str]], parameters: str = "") -> str:
    """An instantiation with named ports."""
    body = ",\n".join(f"        .{port}({wire})" for port, wire in ports)
    return f"    {module} {parameters}{name} (\n{body}\n    );"

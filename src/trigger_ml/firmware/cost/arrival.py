"""Cell delays on the longest path of a synthesized netlist, by Yosys' static timing analysis.

The delays are those of the 7-series that Yosys' library of cells holds. Paths begin at ports and at the
clock pin of a register or memory; they end at ports, registers and memories, set-up time included.
"""

import re
from pathlib import Path

__all__ = ["MODELS", "analysis", "latest_arrival", "untimed_cells"]

MODELS = "timed_cells.v"
"""Name of the file that :func:`analysis` leaves beside the netlist."""
REPORT = "sta.txt"

# picoseconds from each address bit and from the clock of a memory with 6 bits of address: those that Yosys'
# library gives for RAM64X1D and, without the last one, for RAM32M
ADDRESS = (642, 631, 472, 407, 238, 127)
CLOCK = 1190


def _memory(name: str, address: int, data: int) -> str:
    """Model of a memory of eight ports, of which Yosys' library holds no delays."""
    ports = "ABCDEFGH"
    lines = [f"(* blackbox *)\nmodule {name} ("]
    for port in ports:
        lines.append(f"  output [{data - 1}:0] DO{port}, input [{address - 1}:0] ADDR{port},")
        lines.append(f"  input [{data - 1}:0] DI{port},")
    lines.append("  input WCLK, input WE);")
    lines += [f"  parameter [63:0] INIT_{port} = 64'd0;" for port in ports]
    lines.append("  parameter [0:0] IS_WCLK_INVERTED = 1'b0;\n  specify")
    for port in ports:
        lines.append(f"    (WCLK *> DO{port}) = {CLOCK};")
        lines += [f"    (ADDR{port}[{bit}] *> DO{port}) = {ADDRESS[bit]};" for bit in range(address)]
    return "\n".join([*lines, "  endspecify\nendmodule\n"])


def analysis(folder: Path) -> list[str]:
    """Commands that analyse the flat design at hand, and leave the report ``sta.txt`` in ``folder``."""
    (folder / MODELS).write_text(_memory("RAM32M16", 5, 2) + _memory("RAM64M8", 6, 1), encoding="utf-8")
    return [
        # synthesis leaves models of the cells without delays, also under the names of their derived forms
        "delete =A:blackbox =A:whitebox",
        "read_verilog -lib -specify +/xilinx/cells_sim.v",
        f"read_verilog -lib -specify -overwrite {MODELS}",
        f"tee -q -o {REPORT} sta",
    ]


def latest_arrival(report: str) -> float | None:
    """Nanoseconds of the longest path; None if there is no path at all."""
    match = re.search(r"Latest arrival time in '[^']*' is (\d+)", report)
    return int(match[1]) / 1000 if match else None


def untimed_cells(report: str) -> tuple[str, ...]:
    """Kinds of cells that have inputs but no delays: the paths through them are not in the report."""
    kinds = set(re.findall(r"Module '([^']*)' has no timing arcs", report))
    kinds |= set(re.findall(r"Cell type '([^'$][^']*)' (?:not recognised|is not a black)", report))
    return tuple(sorted(kinds))

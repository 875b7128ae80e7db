"""Logic synthesis with Yosys: what a design costs, layer by layer, without a vendor's tools.

Every module is synthesized once and counted as often as it is used; the modules under the top are
synthesized in several processes beside each other. The timing is that of the cells alone, before any
placement: a necessary condition for a clock, not a sufficient one.
"""

import json
import math
import re
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import joblib

from trigger_ml.core.errors import MappingError, StageError
from trigger_ml.firmware.cost.arrival import REPORT, analysis, latest_arrival, untimed_cells
from trigger_ml.firmware.rtl.yosys import run_yosys, synthesis_command, write_files, yosys_version

__all__ = [
    "PARTS", "Cost", "Part", "Synthesis", "cells_to_cost", "family_of", "part_named", "require_fit",
    "synthesize",
]  # fmt: skip


type Module = Mapping[str, object]
type Statistics = dict[str, Module]
"""What Yosys counted, by module."""


@dataclass(frozen=True)
class Part:
    """What an FPGA has. BRAM in blocks of 36 kbit (ECP5: 18 kbit).

    Figures from the vendors' product tables (AMD DS180, DS190, DS890, DS891; Lattice FPGA-DS-02012).
    """

    name: str
    family: str
    lut: int
    ff: int
    bram: int
    dsp: int


PARTS = {
    part.name: part
    for part in (
        Part("xcku040", "xcu", 242_400, 484_800, 600, 1_920),
        Part("xcku060", "xcu", 331_680, 663_360, 1_080, 2_760),
        Part("xcku115", "xcu", 663_360, 1_326_720, 2_160, 5_520),
        Part("xcku5p", "xcup", 216_960, 433_920, 480, 1_824),
        Part("xcvu9p", "xcup", 1_182_240, 2_364_480, 2_160, 6_840),
        Part("xcvu13p", "xcup", 1_728_000, 3_456_000, 2_688, 12_288),
        Part("xczu9eg", "xcup", 274_080, 548_160, 912, 2_520),
        Part("xc7a100t", "xc7", 63_400, 126_800, 135, 240),
        Part("xc7a200t", "xc7", 134_600, 269_200, 365, 740),
        Part("xc7k325t", "xc7", 203_800, 407_600, 445, 840),
        Part("xc7z020", "xc7", 53_200, 106_400, 140, 220),
        Part("lfe5u-45f", "ecp5", 43_848, 43_848, 108, 72),
        Part("lfe5u-85f", "ecp5", 83_640, 83_640, 208, 156),
    )
}


@dataclass(frozen=True)
class Cost:
    """Cells of a module.

    ``lut`` counts lookup tables used as logic, as memory and as shift register; an inverter counts as
    one, though place-and-route usually absorbs it.
    """

    lut: int = 0
    lut_memory: int = 0
    """Part of ``lut`` that is memory or shift register."""
    ff: int = 0
    bram: float = 0
    dsp: int = 0
    carry: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(**{k: v + getattr(other, k) for k, v in asdict(self).items()})

    def __mul__(self, times: int) -> "Cost":
        return Cost(**{k: v * times for k, v in asdict(self).items()})


@dataclass(frozen=True)
class Synthesis:
    """Result of a synthesis.

    Parameters
    ----------
    family : str
    total : Cost
    modules : mapping of str to Cost
        Of each module directly under the top, kernels included, as often as used.
    arrival : float or None
        Nanoseconds of cell delay on the longest path; None if not analysed.
    tool : str
    path : str
        Report of the timing analysis, cell by cell along the longest path; empty if not analysed.
    untimed : tuple of str
        Kinds of cells without delays, whose paths are not in ``arrival``.
    """

    family: str
    total: Cost
    modules: Mapping[str, Cost]
    arrival: float | None
    tool: str
    path: str = field(default="", compare=False)
    untimed: tuple[str, ...] = ()


# lookup tables that a memory cell occupies (AMD UG474, UG574; Lattice FPGA-TN-02204)
LUT_MEMORY = {
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1S": 2, "RAM128X1D": 4,
    "RAM256X1S": 4, "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM32X16DR8": 8,
    "RAM64X8SW": 8, "RAM256X1D": 8,
    "RAM512X1S": 8, "SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1, "TRELLIS_DPR16X4": 6,
}  # fmt: skip
BLOCK_RAM = {"RAMB18E1": 0.5, "RAMB36E1": 1, "RAMB18E2": 0.5, "RAMB36E2": 1, "DP16KD": 1, "PDPW16KD": 1}
FREE = {
    "BUFG", "CARRY4", "CARRY8", "GND", "MUXCY", "MUXF7", "MUXF8", "MUXF9", "VCC", "XORCY", "PFUMX", "L6MUX21",
    "$scopeinfo",
}  # fmt: skip


def part_named(name: str) -> Part:
    """Part of an ordering code like ``xcku115-flvb2104-2-i``.

    Raises
    ------
    MappingError
        If it is not in the table.
    """
    word = name.lower()
    for known in sorted(PARTS, key=len, reverse=True):
        if word.startswith(known):
            return PARTS[known]
    raise MappingError(f"part {name}", "not in the table of parts", f"Use one of: {', '.join(sorted(PARTS))}")


def family_of(name: str) -> str:
    """Yosys' family of a part."""
    return part_named(name).family


def cells_to_cost(cells: Mapping[str, int]) -> Cost:
    """Cost of a count of cells.

    Raises
    ------
    StageError
        For a kind of cell whose cost is not known: nothing is counted as zero silently.
    """
    cost = Cost()
    for name, count in cells.items():
        if re.fullmatch(r"LUT[1-6]|INV|LUT4", name):
            cost += Cost(lut=count)
        elif re.fullmatch(r"FD[RSCP]E(_1)?|LD[CP]E|TRELLIS_FF", name):
            cost += Cost(ff=count)
        elif name in LUT_MEMORY:
            cost += Cost(lut=count * LUT_MEMORY[name], lut_memory=count * LUT_MEMORY[name])
        elif name == "CCU2C":
            cost += Cost(lut=2 * count, carry=count)
        elif name in BLOCK_RAM:
            cost += Cost(bram=count * BLOCK_RAM[name])
        elif re.fullmatch(r"DSP48E[12]|MULT18X18D|ALU54B", name):
            cost += Cost(dsp=count)
        elif name in ("CARRY4", "CARRY8"):
            cost += Cost(carry=count)
        elif name not in FREE:
            raise StageError(f"cell {name}", "its cost is not known", "Add it to the tables of synthesis.py")
    return cost


def _instances(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Modules that each module instantiates; a file ``NAME.v`` holds the module NAME."""
    modules = [name.removesuffix(".v") for name in files if name.endswith(".v")]
    return {
        module: {
            other
            for other in modules
            if other != module
            and re.search(rf"^\s*{re.escape(other)}\s+\w+\s*\(", files[f"{module}.v"], re.MULTILINE)
        }
        for module in modules
    }


def _groups(files: Mapping[str, str], top: str, number: int) -> list[list[str]]:
    """The modules under the top in groups of about equal work."""
    instances = _instances(files)

    def work(module: str) -> int:
        return len(files[f"{module}.v"]) + sum(work(below) for below in instances[module])

    groups: list[list[str]] = [[] for _ in range(max(1, min(number, len(instances[top]))))]
    loads = [0] * len(groups)
    for module in sorted(instances[top], key=lambda name: (-work(name), name)):
        least = loads.index(min(loads))
        groups[least].append(module)
        loads[least] += work(module)
    return groups


def synthesize(
    files: Mapping[str, str],
    top: str,
    family: str,
    *,
    timing: bool = True,
    timeout: float = 6 * 3600,
    workers: int | None = None,
    merged: Path | None = None,
) -> Synthesis:
    """Synthesize Verilog.

    Parameters
    ----------
    files : mapping of str to str
        Verilog by file name; each module in a file of its name.
    top : str
    family : str
        ``xc7``, ``xcu``, ``xcup`` or ``ecp5``.
    timing : bool
        Also add up cell delays (7-series and newer; with the delays of the 7-series, the only ones that
        Yosys knows, which is pessimistic for the newer families).
    timeout : float
        Seconds for each process.
    workers : int, optional
        Processes beside each other; default is the number of cores that this process
        may use.
    merged : Path, optional
        Where to leave the flat netlist as JSON, for place-and-route.

    Raises
    ------
    StageError
        If Yosys refuses the code, or it is not done in time.
    """
    groups = _groups(files, top, workers or joblib.cpu_count())
    with tempfile.TemporaryDirectory(prefix="trigger_ml-yosys-") as name:
        folder = Path(name)
        read = write_files(files, folder)

        def run(number: int) -> Statistics:
            others = [m for i, group in enumerate(groups) if i != number for m in group]
            script = [read, f"hierarchy -top {top}"]
            if others:
                script.append(f"blackbox {' '.join(others)}")
            script += [synthesis_command(family, top), f"tee -q -o stat{number}.json stat -json"]
            # a name with = also selects a black box; the top is kept once
            unwanted = [f"={m}" for m in others] + ([top] if number else [])
            if unwanted:
                script.append(f"delete {' '.join(unwanted)}")
            script.append(f"write_rtlil part{number}.il")
            run_yosys("\n".join(script) + "\n", folder, timeout, f"part{number}")
            modules: Statistics = json.loads((folder / f"stat{number}.json").read_bytes())["modules"]
            return {k: v for k, v in modules.items() if k.lstrip("\\") not in others}

        with ThreadPoolExecutor(len(groups)) as pool:
            parts = list(pool.map(run, range(len(groups))))
        analysed = timing and family != "ecp5"
        report = ""
        if analysed or merged is not None:
            script = [f"read_rtlil part{number}.il" for number in range(len(groups))]
            script += [f"hierarchy -top {top}", "flatten"]
            if merged is not None:
                script += [f"write_json {merged.resolve()}"]
            if analysed:
                script += analysis(folder)
            run_yosys("\n".join(script) + "\n", folder, timeout)
            report = (folder / REPORT).read_text(encoding="utf-8", errors="replace") if analysed else ""
    found = _collected({k: v for part in parts for k, v in part.items()}, top, family)
    return replace(found, arrival=latest_arrival(report), path=report, untimed=untimed_cells(report))


def _cells(module: Module) -> dict[str, int]:
    # Yosys 0.70 puts the counts directly under the module, other versions under num_cells_by_type
    below = module.get("num_cells_by_type")
    counts = below if isinstance(below, Mapping) else module
    return {k: int(v) for k, v in counts.items() if isinstance(v, int) and not k.startswith("num_")}


def _collected(statistics: Statistics, top: str, family: str) -> Synthesis:
    modules = {key.lstrip("\\"): _cells(value) for key, value in statistics.items()}
    known: dict[str, Cost] = {}

    def cost(name: str) -> Cost:
        if name not in known:
            cells = modules[name]
            below = {k: n for k, n in cells.items() if k.lstrip("\\") in modules}
            total = cells_to_cost({k: n for k, n in cells.items() if k not in below})
            for child, count in below.items():
                total += cost(child.lstrip("\\")) * count
            known[name] = total
        return known[name]

    children = {k.lstrip("\\"): n for k, n in modules[top].items() if k.lstrip("\\") in modules}
    tool = f"{yosys_version()}, synthesis for {family}"
    return Synthesis(family, cost(top), {name: cost(name) * n for name, n in children.items()}, None, tool)


def require_fit(cost: Cost, part: Part, *, source: str) -> None:
    """Refuse a design that the part cannot hold.

    Raises
    ------
    MappingError
        Naming each resource that is exceeded and by how much.
    """
    over = []
    for resource in ("lut", "ff", "bram", "dsp"):
        used, available = getattr(cost, resource), getattr(part, resource)
        if used > available:
            excess = f" ({used / available - 1:.0%} too many)" if available else ""
            over.append(f"{resource.upper()} {math.ceil(used):,} of {available:,}{excess}")
    if over:
        raise MappingError(
            f"part {part.name}",
            f"the design does not fit ({source}): {'; '.join(over)}",
            "Use a larger part, fewer pixels per clock, more pruning, or fewer filters",
        )

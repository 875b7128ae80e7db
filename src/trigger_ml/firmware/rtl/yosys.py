"""Yosys in a process of its own: scripts over generated Verilog, and the synthesized cells for simulation."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from trigger_ml.core.errors import StageError

__all__ = ["netlist", "run_yosys", "synthesis_command", "write_files", "yosys_version"]


def yosys_version() -> str:
    """Name and version of the synthesis tool."""
    return f"yosys (pyosys {version('pyosys')})"


def run_yosys(script: str, folder: Path, timeout: float, name: str = "script") -> None:
    """Run a Yosys script in a process of its own (a failing pass would end this one)."""
    (folder / f"{name}.ys").write_text(script, encoding="utf-8")
    code = f"from pyosys import libyosys as ys; ys.Design().run_pass('script {name}.ys')"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise StageError(
            "Yosys",
            f"not finished after {timeout:.0f} s",
            "Set firmware.synthesis.tool to null, or make the design smaller",
        ) from None
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise StageError("Yosys", " ".join(lines) or f"failed:\n{done.stdout[-2000:]}", "See the message")


def synthesis_command(family: str, top: str) -> str:
    """Yosys' synthesis for a family, module by module."""
    if family == "ecp5":
        return f"synth_ecp5 -noflatten -top {top}"
    # without buffers for pins and clock: a module synthesized alone has neither
    return f"synth_xilinx -family {family} -noiopad -noclkbuf -top {top}"


def _read(names: list[str]) -> str:
    return "\n".join(f"read_verilog -sv -defer {name}" for name in names)


def write_files(files: Mapping[str, str], folder: Path) -> str:
    """Write Verilog files into a folder; the commands that read them."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return _read([name for name in files if name.endswith(".v")])


def netlist(
    files: Mapping[str, str], top: str, family: str = "xc7", *, timeout: float = 3600
) -> dict[str, str]:
    """The synthesized cells, each replaced by Yosys' model of it, as one Verilog module for simulation."""
    models = "ecp5" if family == "ecp5" else "xilinx"
    with tempfile.TemporaryDirectory(prefix="trigger_ml-yosys-") as name:
        folder = Path(name)
        script = [
            write_files(files, folder),
            f"hierarchy -top {top}",
            synthesis_command(family, top),
            "write_verilog -noattr netlist.v",
            "design -reset",
            f"read_verilog netlist.v +/{models}/cells_sim.v",
            f"hierarchy -top {top}",
            "proc",
            "flatten",
            "opt_clean",
            "write_verilog -noattr cells.v",
        ]
        run_yosys("\n".join(script) + "\n", folder, timeout)
        return {"netlist.v": (folder / "cells.v").read_text(encoding="utf-8")}

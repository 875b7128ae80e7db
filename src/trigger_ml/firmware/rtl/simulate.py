"""Cycle-accurate simulation of the generated RTL with Verilator."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.fixed_point import FixedPoint, IntArray
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.rtl.beats import from_beats, to_beats, unpack, words_for
from trigger_ml.firmware.rtl.dataflow import Pipeline
from trigger_ml.firmware.rtl.executable import compile_simulator
from trigger_ml.firmware.rtl.project import TOP, RtlProject, outline, read_sources, sources
from trigger_ml.firmware.rtl.timing import timing
from trigger_ml.firmware.rtl.top import input_bits, output_bits, output_fields
from trigger_ml.firmware.rtl.yosys import netlist
from trigger_ml.firmware.toolchain import run_program

__all__ = [
    "Disturbance", "SimulatedFrames", "Simulator", "build", "build_netlist", "build_written",
]  # fmt: skip


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
        Output of every module, by name of its last node; empty unless asked for.
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
    idle = 64 * sum(module.output.beats for module in pipeline.modules) + 100_000
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
        self, counts: NDArray[np.integer], disturbance: Disturbance = Disturbance(), taps: bool = False
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
            run_program(
                [self.binary, "frames", "results", prefix, *map(str, numbers)], folder, "the RTL simulation"
            )
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
        for module in self.project.pipeline.modules[1:]:
            if module.nodes:
                count = words_for(module.output.bits)
                words = np.fromfile(folder / f"tap_{module.name}", dtype="<u4").reshape(-1, count)
                words = words[: len(words) // module.output.beats * module.output.beats]
                name = module.nodes[-1].name
                result[name] = from_beats(words, module.output).reshape(-1, *network.shapes[name])
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
    return [module.name for module in pipeline.modules[1:] if module.nodes]


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

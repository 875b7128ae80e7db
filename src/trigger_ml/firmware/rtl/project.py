"""The RTL project: the design in memory, and on disk with everything that belongs to it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.errors import InputError
from trigger_ml.core.files import atomic_directory, write_json, write_text
from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.ir.interpreter import logits
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.rtl.beats import hex_words, result_words, to_beats
from trigger_ml.firmware.rtl.dataflow import Module, Pipeline, PointModule, SumModule, WindowModule
from trigger_ml.firmware.rtl.kernels import Kernel, vhdl_library
from trigger_ml.firmware.rtl.logic import trace_kernels
from trigger_ml.firmware.rtl.plan import check, plan
from trigger_ml.firmware.rtl.scripts import quartus_script, sdc, test_bench, vivado_script, xdc
from trigger_ml.firmware.rtl.timing import Timing, timing
from trigger_ml.firmware.rtl.top import input_bits, output_bits, top_module
from trigger_ml.firmware.rtl.unrolled import plan_unrolled, trace_unrolled
from trigger_ml.firmware.rtl.verilog import verilog_of

__all__ = [
    "TOP", "RtlProject", "design", "kernel_of", "outline", "read_sources", "sources", "write_project",
]  # fmt: skip

TOP = "trigger_network"


@dataclass(frozen=True, eq=False)
class RtlProject:
    """A design in memory.

    Parameters
    ----------
    network : Network
    config : RtlConfig
    pipeline : Pipeline
        With kernels.
    timing : Timing
    """

    network: Network
    config: RtlConfig
    pipeline: Pipeline
    timing: Timing


def outline(network: Network, config: RtlConfig) -> Pipeline:
    """The modules without their logic: all that a prediction needs (milliseconds).

    Raises
    ------
    MappingError
        If a layer has no equivalent, naming it and the reason.
    """
    check(network, config)
    return plan(network, config) if config.style == "streaming" else plan_unrolled(network, config)


def design(network: Network, config: RtlConfig) -> RtlProject:
    """Plan, time and trace a network (seconds to minutes).

    Raises
    ------
    MappingError
        If a layer has no equivalent.
    """
    empty = outline(network, config)
    clocks = timing(empty)
    trace = trace_kernels if config.style == "streaming" else trace_unrolled
    return RtlProject(network, config, trace(network, empty), clocks)


def kernel_of(module: Module) -> Kernel | None:
    """Kernel of a module; None if it has none or its outputs are constants."""
    kernel = module.kernel if isinstance(module, PointModule | WindowModule | SumModule) else None
    return kernel if kernel is not None and kernel.live else None


def sources(project: RtlProject) -> dict[str, str]:
    """Verilog files of a design by name: a file per module, one per kernel, the top."""
    pipeline = project.pipeline
    files = {}
    for module in pipeline.modules[1:]:
        streams = [pipeline.by_name[name].output for name in module.inputs]
        files[f"{module.name}.v"] = verilog_of(module, streams)
        if kernel := kernel_of(module):
            files[f"{kernel.name}.v"] = kernel.verilog()
    title = str(project.network.metadata.get("name", "Trigger network"))
    files[f"{TOP}.v"] = top_module(pipeline, TOP, title, project.timing)
    return files


def read_sources(directory: Path, config: RtlConfig) -> dict[str, str]:
    """Verilog files of a written project by name.

    Raises
    ------
    InputError
        If the folder holds no project, or one of another configuration.
    """
    try:
        written = json.loads((directory / "project.json").read_text(encoding="utf-8"))["config"]
        files = {
            path.name: path.read_text(encoding="utf-8") for path in sorted((directory / "rtl").glob("*.v"))
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        written, files = None, {}
    if f"{TOP}.v" not in files:
        raise InputError(str(directory), "no RTL project", "Write it with `trigger-ml build`")
    if written != config.model_dump(mode="json"):
        raise InputError(
            str(directory),
            "the project was written with another firmware.rtl",
            "Run `trigger-ml build` again",
        )
    return files


def _readme(project: RtlProject, frames: int) -> str:
    clocks, config = project.timing, project.config
    return f"""RTL of a trigger network
========================

rtl/           Verilog: {TOP}.v is the top, layer_<name>.v and its arithmetic layer_<name>_kernel.v for each layer
vhdl/          the kernels in VHDL, with the library they instantiate
sim/           test bench with {frames} frames and the expected results
constraints/   clock of {config.clock_period} ns for Vivado (.xdc) and Quartus (.sdc)
build_vivado.tcl, build_quartus.tcl
project.json   what the files were made from

A result every {clocks.interval} clocks, {clocks.latency} clocks after the first beat of its frame.

    vivado -mode batch -source build_vivado.tcl        (IMPL=1 also places and routes)
    QUARTUS_PART=... quartus_sh -t build_quartus.tcl
    cd sim && verilator --binary --timing --top-module {TOP}_tb {TOP}_tb.v ../rtl/*.v && obj_dir/V{TOP}_tb
"""


def _write(project: RtlProject, counts: IntArray, folder: Path) -> None:
    pipeline, config = project.pipeline, project.config
    for name, text in sources(project).items():
        write_text(folder / "rtl" / name, text)
    for module in pipeline.modules:
        if kernel := kernel_of(module):
            write_text(folder / "vhdl" / f"{kernel.name}.vhd", kernel.vhdl())
    for path in vhdl_library():
        write_text(folder / "vhdl" / path.name, path.read_text(encoding="utf-8"))
    expected = logits(project.network, counts)
    write_text(
        folder / "sim" / "frames.hex", hex_words(to_beats(counts, pipeline.input), input_bits(pipeline))
    )
    write_text(
        folder / "sim" / "results.hex", hex_words(result_words(pipeline, expected), output_bits(pipeline))
    )
    write_text(folder / "sim" / f"{TOP}_tb.v", test_bench(pipeline, TOP, len(counts)))
    write_text(folder / "constraints" / f"{TOP}.xdc", xdc(config))
    write_text(folder / "constraints" / f"{TOP}.sdc", sdc(config))
    write_text(folder / "build_vivado.tcl", vivado_script(config, TOP))
    write_text(folder / "build_quartus.tcl", quartus_script(config, TOP))
    write_text(folder / "README.txt", _readme(project, len(counts)))
    write_json(
        folder / "project.json",
        {
            "config": config.model_dump(mode="json"),
            "interval": project.timing.interval,
            "latency": project.timing.latency,
            "stages": [
                {
                    "name": module.name,
                    "layers": [node.name for node in module.nodes],
                    "kernel_copies": module.kernels,
                    "lanes": module.output.lanes,
                    "beats": module.output.beats,
                    "type": str(module.output.dtype),
                }
                for module in pipeline.modules
            ],
        },
    )


def write_project(project: RtlProject, counts: IntArray, directory: Path) -> Path:
    """Write the project into ``directory``, which is replaced as a whole.

    Parameters
    ----------
    project : RtlProject
    counts : numpy.ndarray of int, shape (frames, height, width, channels)
        Inputs of the test bench; the expected results come from the interpreter.
    directory : Path
    """
    counts = np.asarray(counts, dtype=np.int64)
    with atomic_directory(directory) as partial:
        _write(project, counts, partial)
    return directory

"""The RTL project of ``build`` and ``synthesize``: predict it, refuse or write it, measure it."""

from pathlib import Path

import numpy as np

from trigger_ml.core.config import RtlConfig, SynthesisConfig
from trigger_ml.core.documents.resources import (
    TOTAL,
    Clocks,
    NotRun,
    Project,
    ResourceFigure,
    TimingFigure,
)
from trigger_ml.core.files import write_text
from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.cost import place_and_route as pnr
from trigger_ml.firmware.cost.prediction import SOURCE, Prediction, predict
from trigger_ml.firmware.cost.resources import (
    found_of,
    predicted,
    require_equal_clocks,
    synthesized,
)
from trigger_ml.firmware.cost.synthesis import part_named, require_fit, synthesize
from trigger_ml.firmware.cost.vendor_tools import vendor_rtl
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.rtl.executable import simulator_version
from trigger_ml.firmware.rtl.project import TOP, RtlProject, design, outline, read_sources, write_project
from trigger_ml.firmware.rtl.simulate import build_written

__all__ = ["build_rtl", "check_fit", "measure_rtl", "simulated_clocks"]

YOSYS = "synthesis: yosys"
ROUTED = "place and route: nextpnr-ecp5"


def check_fit(network: Network, config: RtlConfig) -> Prediction:
    """Predicted cost of a design, refused if the part cannot hold it (milliseconds).

    Raises
    ------
    MappingError
        If a layer cannot be mapped, or the part is too small; says by how much.
    """
    prediction = predict(network, config, outline(network, config))
    require_fit(prediction.total, part_named(config.part), source=SOURCE)
    return prediction


def build_rtl(network: Network, config: RtlConfig, counts: IntArray, directory: Path) -> RtlProject:
    """Write the RTL project.

    Parameters
    ----------
    network : Network
    config : RtlConfig
    counts : numpy.ndarray of int, shape (frames, height, width, channels)
        Golden inputs of the test bench.
    directory : Path
        Replaced as a whole.

    Returns
    -------
    RtlProject

    Raises
    ------
    MappingError
        Before any work, if a layer cannot be mapped or the part cannot hold the design.
    """
    check_fit(network, config)
    project = design(network, config)
    write_project(project, counts, directory)
    return project


def simulated_clocks(
    network: Network, config: RtlConfig, directory: Path, counts: IntArray, frames: int
) -> Clocks:
    """Initiation interval and latency of a written project, measured on frames back to back.

    Parameters
    ----------
    network : Network
    config : RtlConfig
    directory : Path
    counts : numpy.ndarray of int, shape (events, height, width, channels)
        Taken again from the first where there are fewer than ``frames``.
    frames : int
    """
    chosen = np.resize(counts, (frames, *network.input.size)).astype(np.int64)
    result = build_written(network, config, directory)(chosen)
    assert result.interval is not None
    return Clocks("simulation", simulator_version(), result.interval, result.latency, frames)


def measure_rtl(
    network: Network,
    config: RtlConfig,
    settings: SynthesisConfig,
    directory: Path,
    counts: IntArray,
    work: Path,
) -> Project:
    """All that can be known here of what a written project costs and how long it takes.

    Parameters
    ----------
    network : Network
    config : RtlConfig
    settings : SynthesisConfig
    directory : Path
        The written project.
    counts : numpy.ndarray of int, shape (events, height, width, channels)
        Frames of the simulation.
    work : Path
        Folder for the tools' logs and reports.

    Raises
    ------
    VerificationError
        If the simulation does not take the predicted clocks.
    MappingError
        If the part cannot hold what was synthesized.
    """
    part, period = config.part, config.clock_period
    if settings.place_and_route:
        pnr.check(part)
    result = predicted(check_fit(network, config), part, period)
    measured = simulated_clocks(network, config, directory, counts, settings.frames)
    require_equal_clocks(result.clocks[0], measured)
    result += found_of(part, period, clocks=(measured,))
    result += _open_tools(config, settings, read_sources(directory, config), work)
    return result + vendor_rtl(directory, config, settings, work)


def _open_tools(config: RtlConfig, settings: SynthesisConfig, files: dict[str, str], work: Path) -> Project:
    """Synthesis with Yosys, then place-and-route where it is asked for."""
    part, period = config.part, config.clock_period
    if settings.tool is None:
        return found_of(part, period, not_run=(NotRun(YOSYS, "firmware.synthesis.tool is null"),))
    work.mkdir(parents=True, exist_ok=True)
    device = part_named(part)
    netlist = work / "netlist.json" if settings.place_and_route else None
    found = synthesize(files, TOP, device.family, timing=settings.timing, merged=netlist)
    if found.path:
        write_text(work / "longest_path.txt", found.path)
    require_fit(found.total, device, source=YOSYS)
    result = synthesized(found, YOSYS, part, period)
    if netlist is None:
        reason = "firmware.synthesis.place_and_route is off (possible for parts lfe5u-*)"
        return result + found_of(part, period, not_run=(NotRun(ROUTED, reason),))
    routed = pnr.place_and_route(netlist, part, period)
    figure = ResourceFigure(
        TOTAL, ROUTED, routed.tool, lut=routed.lut, ff=routed.ff, bram=routed.bram, dsp=routed.dsp
    )
    slack = round(period - 1000 / routed.fmax, 3)
    timing = TimingFigure(ROUTED, routed.tool, "post-route fmax", slack_ns=slack, fmax_mhz=routed.fmax)
    return result + found_of(part, period, (figure,), timing=(timing,))

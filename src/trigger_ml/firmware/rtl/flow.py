"""What ``build`` does for the RTL project: predict, refuse or write, synthesize, and say what it costs."""

from pathlib import Path
from typing import Any

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.errors import InputError
from trigger_ml.core.files import write_json
from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware import vendor
from trigger_ml.firmware.estimate import SOURCE, Prediction, predict
from trigger_ml.firmware.network import Network
from trigger_ml.firmware.rtl.project import TOP, RtlProject, design, outline, sources, write_project
from trigger_ml.firmware.synthesis import (
    Synthesis,
    part_named,
    require_fit,
    synthesize,
    write_resources,
)

__all__ = ["build_rtl", "check_fit", "run_vendor"]


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


def build_rtl(
    network: Network, config: RtlConfig, counts: IntArray, directory: Path, *, synthesis: bool = True
) -> RtlProject:
    """Write the RTL project, and beside its sources ``resources.json``.

    Parameters
    ----------
    network : Network
    config : RtlConfig
    counts : numpy.ndarray of int, shape (frames, height, width, channels)
        Golden inputs of the test bench.
    directory : Path
        Replaced as a whole.
    synthesis : bool
        Also synthesize with Yosys (minutes) instead of leaving the prediction alone.

    Returns
    -------
    RtlProject
        Which :func:`~trigger_ml.firmware.rtl.simulate.build` can compile for simulation.

    Raises
    ------
    MappingError
        Before any work, if a layer cannot be mapped or the part cannot hold the design.
    """
    part = part_named(config.part)
    prediction = check_fit(network, config)
    project = design(network, config)
    write_project(project, counts, directory)
    costs = {SOURCE: Synthesis(part.family, prediction.total, prediction.modules, None, SOURCE)}
    if synthesis:
        costs["synthesis: yosys"] = synthesize(sources(project), TOP, part.family)
        require_fit(costs["synthesis: yosys"].total, part, source="synthesis: yosys")
    clocks = {
        "interval": project.timing.interval,
        "latency": project.timing.latency,
        "source": "clock model of the pipeline, equal to the RTL simulation",
        "predicted_lut_error": prediction.error,
    }
    write_resources(directory / "resources.json", part, costs, clocks, config.clock_period)
    return project


def run_vendor(directory: Path, *, implement: bool = False) -> dict[str, Any] | None:
    """Run Vivado on a written project and read its reports into ``vendor.json``.

    Returns
    -------
    dict or None
        Figures by stage with their source; None if Vivado is not installed.

    Raises
    ------
    InputError
        If a report is missing or of an unknown form.
    """
    if not vendor.run_script(
        "vivado", ["-mode", "batch", "-source", "build_vivado.tcl"], directory, implement=implement
    ):
        return None
    figures: dict[str, Any] = {}
    for stage in ("synth", "impl") if implement else ("synth",):
        source = f"{'implementation' if stage == 'impl' else 'synthesis'}: vivado"
        texts = {}
        for kind in ("utilization", "timing"):
            path = directory / "reports" / f"{stage}_{kind}.rpt"
            if not path.exists():
                raise InputError(str(path), "Vivado ended well but left no such report", "Read vivado.log")
            texts[kind] = path.read_text()
        cost = vendor.parse_vivado_utilization(texts["utilization"], source)
        slack = vendor.parse_vivado_timing(texts["timing"], source).wns
        figures[source] = {
            "lut": cost.lut,
            "ff": cost.ff,
            "bram": cost.bram,
            "dsp": cost.dsp,
            "wns_ns": slack,
        }
    write_json(directory / "vendor.json", figures)
    return figures

"""The vendors' tools on the written projects: run where installed, read, and told of where not.

The projects are copied first: what ``build`` wrote stays as it is, and no report of an earlier run can be
taken for one of this. Vivado and Vitis share their scripts with hls4ml; Quartus gives figures only after its
fitter, so it is left out unless implementation is asked for.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from trigger_ml.core.config import RtlConfig, SynthesisConfig
from trigger_ml.core.documents.resources import (
    TOTAL,
    Clocks,
    NotRun,
    Project,
    ResourceFigure,
    TimingFigure,
)
from trigger_ml.core.errors import InputError
from trigger_ml.firmware.cost import vendor
from trigger_ml.firmware.cost.resources import found_of
from trigger_ml.firmware.rtl.project import TOP

__all__ = ["measure_hls", "vendor_rtl"]

HLS_TOOLS = {"Vitis": "vitis_hls", "Vivado": "vivado_hls"}
OFF = "firmware.synthesis.vendor is off"


def _absent(source: str, tool: str) -> NotRun:
    return NotRun(source, f"{' or '.join(vendor.TOOLS[tool])} is not on PATH", tool)


def _copy(project: Path, work: Path) -> Path:
    shutil.rmtree(work, ignore_errors=True)
    # nor a report that the user's own run left in the project
    left = shutil.ignore_patterns("*_prj", "vivado_synth.rpt", "reports", "*.fit.rpt", "*.sta.rpt", "csim")
    shutil.copytree(project, work, ignore=left)
    return work


def _report(path: Path, tool: str) -> str:
    if not path.exists():
        raise InputError(str(path), f"{tool} ended well but left no such report", f"Read {tool}.log")
    return path.read_text(encoding="utf-8", errors="replace")


def _figure(report: vendor.VendorReport, layer: str, source: str, tool: str) -> ResourceFigure:
    return ResourceFigure(layer, source, tool, lut=report.lut, ff=report.ff, bram=report.bram, dsp=report.dsp)


def measure_hls(project: Path, manifest: dict[str, Any], settings: SynthesisConfig, work: Path) -> Project:
    """HLS synthesis by hls4ml's own build script, then logic synthesis of its result where Vivado is there.

    Parameters
    ----------
    project : Path
        Folder of the hls4ml project.
    manifest : dict
        Of `trigger_ml.firmware.hls.project.HlsProject`.
    settings : SynthesisConfig
    work : Path
        Folder for the copy that the tool works in.

    Raises
    ------
    StageError
        If the tool fails.
    InputError
        If a report is missing or of an unknown form.
    """
    backend, part, period = manifest["backend"], manifest["part"], float(manifest["clock_period_ns"])
    result = found_of(part, period)
    tool = HLS_TOOLS.get(backend)
    if tool is None:
        reason = f"reports of backend {backend} are not read here: run hls4ml's build in the project"
        return result + found_of(part, period, not_run=(NotRun(f"synthesis: {backend}", reason),))
    source, logic = f"synthesis: {tool}", "synthesis: vivado"
    if not settings.vendor:
        return result + found_of(part, period, not_run=(NotRun(source, OFF), NotRun(logic, OFF)))
    commands = vendor.available()
    missing: tuple[NotRun, ...] = ()
    if settings.implementation:
        reason = "hls4ml's build script stops at logic synthesis: implement the exported IP in a design"
        missing = (NotRun("implementation: vivado", reason),)
    command = commands[tool]
    if commands["vivado"] is None:
        missing = (_absent(logic, "vivado"), *missing)
    elif command is None:
        missing = (NotRun(logic, "it needs the result of HLS synthesis"), *missing)
    if command is None:
        return result + found_of(part, period, not_run=(_absent(source, tool), *missing))
    folder = _copy(project, work)
    options = {
        "reset": 1, "csim": 0, "synth": 1, "cosim": 0, "validation": 0, "export": 0,
        "vsynth": int(commands["vivado"] is not None), "fifo_opt": 0,
    }  # fmt: skip
    if tool == "vivado_hls":
        arguments = ["-f", "build_prj.tcl", " ".join(f"{k}={v}" for k, v in options.items())]
    else:
        lines = "".join(f"    {name} {value}\n" for name, value in options.items())
        (folder / "build_opt.tcl").write_text(f"array set opt {{\n{lines}}}\n", encoding="utf-8")
        script = "build_prj.tcl"
        is_run = Path(command).name == "vitis-run"
        arguments = ["--mode", "hls", "--tcl", script] if is_run else ["-f", script]
    vendor.run_script(tool, arguments, folder)
    name = manifest["project"]
    text = _report(folder / f"{name}_prj" / "solution1" / "syn" / "report" / f"{name}_csynth.xml", tool)
    found, stated = vendor.parse_csynth(text, source), f"{tool} {vendor.version_in(text)}"
    assert found.interval is not None
    assert found.latency is not None
    figures = [_figure(found, TOTAL, source, stated)]
    clocks = (Clocks(source, stated, found.interval, found.latency),)
    if options["vsynth"]:
        text = _report(folder / "vivado_synth.rpt", "vivado")
        found = vendor.parse_vivado_utilization(text, logic)
        figures.append(_figure(found, TOTAL, logic, vendor.version_in(text)))
    return result + found_of(part, period, tuple(figures), clocks, not_run=missing)


def vendor_rtl(project: Path, config: RtlConfig, settings: SynthesisConfig, work: Path) -> Project:
    """Vivado and Quartus on the RTL project.

    Parameters
    ----------
    project : Path
        Folder that `trigger_ml.firmware.rtl.project.write_project` wrote.
    config : RtlConfig
    settings : SynthesisConfig
    work : Path
        Folder for the copies that the tools work in.

    Raises
    ------
    StageError
        If a tool fails.
    InputError
        If a report is missing or of an unknown form.
    """
    # figures for the project's own part come last
    result = _quartus(project, config, settings, work / "quartus")
    return result + _vivado(project, config, settings, work / "vivado")


def _vivado(project: Path, config: RtlConfig, settings: SynthesisConfig, work: Path) -> Project:
    part, period = config.part, config.clock_period
    stages = {"synth": "synthesis: vivado"}
    if settings.implementation:
        stages["impl"] = "implementation: vivado"

    def left_out(make: Callable[[str], NotRun]) -> Project:
        return found_of(part, period, not_run=tuple(make(source) for source in stages.values()))

    if not settings.vendor:
        return left_out(lambda source: NotRun(source, OFF))
    if not part.lower().startswith("xc"):
        return left_out(lambda source: NotRun(source, f"part {part} is not of this vendor"))
    if vendor.available()["vivado"] is None:
        return left_out(lambda source: _absent(source, "vivado"))
    folder = _copy(project, work)
    arguments = ["-mode", "batch", "-source", "build_vivado.tcl"]
    vendor.run_script("vivado", arguments, folder, implement=settings.implementation)
    result = found_of(part, period)
    for stage, source in stages.items():
        texts = {
            kind: _report(folder / "reports" / f"{stage}_{kind}.rpt", "vivado")
            for kind in ("utilization", "utilization_hierarchical", "timing")
        }
        tool = vendor.version_in(texts["utilization"])
        total = vendor.parse_vivado_utilization(texts["utilization"], source)
        layers = vendor.parse_vivado_hierarchy(texts["utilization_hierarchical"], source)
        slack = vendor.parse_vivado_timing(texts["timing"], source).wns
        figures = tuple(_figure(r, layer, source, tool) for layer, r in {TOTAL: total, **layers}.items())
        if stage == "impl":
            timing = TimingFigure(source, tool, "post-route slack", slack_ns=slack)
        else:
            note = "estimated routing"
            timing = TimingFigure(source, tool, "post-synthesis slack", slack_ns=slack, note=note)
        result += found_of(part, period, figures, timing=(timing,))
    return result


def _quartus(project: Path, config: RtlConfig, settings: SynthesisConfig, work: Path) -> Project:
    source, part, period = "implementation: quartus", config.part, config.clock_period

    def left_out(entry: NotRun) -> Project:
        return found_of(part, period, not_run=(entry,))

    if settings.quartus_part is None:
        return left_out(NotRun(source, "no firmware.synthesis.quartus_part is given"))
    if not settings.vendor:
        return left_out(NotRun(source, OFF))
    if not settings.implementation:
        reason = "Quartus' figures come from its fitter: set firmware.synthesis.implementation (IMPL=1)"
        return left_out(NotRun(source, reason))
    if vendor.available()["quartus"] is None:
        return left_out(_absent(source, "quartus"))
    folder = _copy(project, work)
    vendor.run_script(
        "quartus",
        ["-t", "build_quartus.tcl"],
        folder,
        implement=True,
        variables={"QUARTUS_PART": settings.quartus_part},
    )
    text = _report(folder / f"{TOP}.fit.rpt", "quartus")
    tool = f"Quartus Prime {vendor.version_in(text)}"
    fit = vendor.parse_quartus_fit(text, source)
    fmax = vendor.parse_quartus_timing(_report(folder / f"{TOP}.sta.rpt", "quartus"), source).fmax
    assert fmax is not None
    return found_of(
        part,
        period,
        (replace(_figure(fit, TOTAL, source, tool), part=settings.quartus_part),),
        timing=(
            TimingFigure(
                source, tool, "post-route fmax", slack_ns=round(period - 1000 / fmax, 3), fmax_mhz=fmax
            ),
        ),
    )

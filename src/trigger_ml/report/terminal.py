"""What a run found, in a few lines on the terminal; what its firmware costs, also as a README."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trigger_ml.core import layout
from trigger_ml.evaluation.reference import against_reference
from trigger_ml.report.facts import widths
from trigger_ml.report.robustness import robustness_line

__all__ = ["firmware_readme", "print_firmware", "print_summary", "resource_rows"]


def _interval(values: dict[str, Any], digits: int = 4, sign: str = "") -> str:
    if values["value"] is None:
        return f"undefined ({values.get('flag', 'too few events')})"
    number = f"{values['value']:{sign}.{digits}f}"
    if values["low"] is None:
        return number
    return f"{number}  [{values['low']:{sign}.{digits}f}, {values['high']:{sign}.{digits}f}]"


def _physics(evaluation: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    others = evaluation.get("others", {})
    reference = evaluation.get("reference", {"model": "float"})["model"]
    if given := evaluation.get("given"):
        what = f"{given['measure']}, given model by {given['framework']}"
        rows.append((f"{what}, own input ({given['input']})", _interval(given["own"])))
        rows.append((f"{what}, counts", _interval(given["counts"])))
    for name, comparison in evaluation["metrics"].items():
        if evaluation["task"] == "type" and name not in ("auc", "hadron_efficiency", "gamma_efficiency"):
            continue
        label, found = evaluation["quantities"][name]["label"], against_reference(evaluation, name)
        assert found is not None
        if name == "auc":
            rows.append((f"{label}, float", _interval(comparison["float"])))
            rows += [(f"{label}, {key}", _interval(other["metrics"]["auc"])) for key, other in others.items()]
            rows.append((f"{label}, compressed", _interval(comparison["compressed"])))
            rows.append((f"compressed minus {reference}, paired", _interval(found["difference"], sign="+")))
        rows.append((f"{label}, change from {reference}", found["verdict"]))
    if trained := evaluation.get("reference"):
        plateau = {True: "on its plateau", False: "below its plateau", None: "plateau not known"}
        rows.append(("float training", f"{plateau[trained['plateau']]}: {trained['why']}"))
    if (line := robustness_line(evaluation)) is not None:
        rows.append(("robustness", escape(line)))
    rows += [(key, f"not judged: {why}") for key, why in evaluation.get("not_judged", {}).items()]
    return rows


def _cost(figure: dict[str, Any]) -> str:
    parts = []
    for name in ("lut", "ff", "bram", "dsp"):
        if name in figure:
            part = f"{figure[name]:,} {name.upper()}"
            notes = []
            if name == "lut" and "lut_low" in figure:
                notes.append(f"{figure['lut_low']:,} to {figure['lut_high']:,}")
            if figure.get(f"{name}_percent"):
                notes.append(f"{figure[f'{name}_percent']:.2g} %")
            parts.append(part + (f" ({', '.join(notes)})" if notes else ""))
    return ", ".join(parts) + (f" on {figure['part']}" if "part" in figure else "")


def _timing(figure: dict[str, Any], period: float) -> str:
    units = {"arrival_ns": "{:.2f} ns", "fmax_mhz": "{:.1f} MHz"}
    values = [text.format(figure[key]) for key, text in units.items() if key in figure]
    values.append(f"slack {figure['slack_ns']:+.2f} ns against {period:g} ns")
    return f"{figure['kind']} " + ", ".join(values) + (f" ({figure['note']})" if "note" in figure else "")


def resource_rows(resources: dict[str, Any]) -> list[tuple[str, str]]:
    """What ``resources.json`` says of the whole designs: a label with the source, and the figures.

    Parameters
    ----------
    resources : dict
        See ``docs/rtl.md``.
    """
    rows = []
    for name in ("rtl", "hls"):
        project = resources.get(name)
        if project is None:
            continue
        for figure in project["figures"]:
            if figure["layer"] == "total":
                rows.append((f"{name}, {figure['source']}", _cost(figure)))
        for clocks in project["clocks"]:
            measured = f"II {clocks['interval']:,}, latency {clocks['latency']:,} clocks"
            rows.append((f"{name}, {clocks['source']}", measured))
        for timing in project["timing"]:
            rows.append((f"{name}, {timing['source']}", _timing(timing, project["clock_period_ns"])))
        rows += [
            (f"{name}, {entry['source']}", f"not run: {entry['reason']}") for entry in project["not_run"]
        ]
    return rows


def _verification_rows(verification: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, backend in verification["backends"].items():
        text = (
            f"{backend['mismatches']} mismatches in {backend['events']} events "
            f"and {backend['corner_inputs']} corner inputs"
        )
        disturbance = {k: v for k, v in (backend.get("disturbance") or {}).items() if v and k != "seed"}
        if disturbance:
            text += f", {' and '.join(f'{k} {100 * v:g} %' for k, v in disturbance.items())} of the clocks"
        rows.append((f"{name}, bit for bit", text))
    return rows


def _firmware_rows(directory: Path) -> list[tuple[str, str]]:
    verification, resources = (
        json.loads((directory / name).read_text()) for name in (layout.VERIFICATION, layout.RESOURCES)
    )
    return [*_verification_rows(verification), *resource_rows(resources)]


def print_firmware(directory: Path, console: Console) -> None:
    """Print mismatches, resources and clocks of a run's firmware, each with its source."""
    table = Table(show_header=False)
    for label, value in _firmware_rows(directory):
        table.add_row(label, escape(value))
    console.print(table)


def firmware_readme(directory: Path) -> str:
    """What goes with exported firmware projects: what is where, what was verified, what it costs."""
    manifest = json.loads((directory / layout.MANIFEST).read_text())
    rows = "\n".join(f"| {label} | {value} |" for label, value in _firmware_rows(directory))
    folders = {
        "hls": "the hls4ml project",
        "rtl": "the RTL project (its own README.txt names its files)",
        "vectors": "golden test vectors of every layer",
        "synthesis": "logs and reports of the tools that ran",
    }
    listed = "\n".join(
        f"- `{name}/`: {what}"
        for name, what in folders.items()
        if name == "synthesis" or (directory / layout.FIRMWARE / name).is_dir()
    )
    return f"""# Firmware of {manifest["name"]}

{listed}
- `verification.json`, `resources.json`: all figures, each with its source

| | |
|---|---|
{rows}
"""


def _busy(records: Iterable[Mapping[str, Any]]) -> float:
    """Seconds in which a stage was at work; two beside each other count once."""
    spans = sorted((datetime.fromisoformat(r["started"]).timestamp(), r["seconds"]) for r in records)
    total, end = 0.0, float("-inf")
    for start, seconds in spans:
        total += max(0.0, start + seconds - max(start, end))
        end = max(end, start + seconds)
    return total


def print_summary(directory: Path, console: Console) -> None:
    """Print figures of merit with intervals, sparsity, widths, mismatches, and where the report is.

    Parameters
    ----------
    directory : Path
        A run directory with all stages done.
    console : rich.console.Console
    """
    files = (layout.EVALUATION, layout.VERIFICATION, layout.MODEL_SUMMARY, layout.MANIFEST)
    evaluation, verification, model, manifest = (json.loads((directory / f).read_text()) for f in files)
    content = 100 * evaluation["settings"]["confidence"]
    title = f"{manifest['name']}: {evaluation['events']['used']} test events, \\[{content:g} % intervals]"
    table = Table(title=title, title_justify="left", show_header=False)
    for label, value in _physics(evaluation):
        table.add_row(label, value)
    table.add_section()
    sizes = model["compressed"]
    bits = {part: widths(manifest["config"], model, part) for part in ("weights", "activations")}
    table.add_row("sparsity", f"{100 * sizes['sparsity']:.1f} % of {sizes['weights']} weights are zero")
    table.add_row("bits", f"weights {bits['weights']}, activations {bits['activations']}")
    small, large = sizes["bytes"]["packed"], model["float"]["bytes"]["dense"]
    table.add_row("size", f"{large / 1000:.1f} kB → {small / 1000:.1f} kB ({large / small:.1f} x smaller)")
    table.add_section()
    for label, value in _verification_rows(verification):
        table.add_row(label, escape(value))
    exact = "proven for every layer" if verification["exact_float32"] else "not proven: see verification.json"
    table.add_row("float32 exact", exact)
    table.add_section()
    for label, value in resource_rows(json.loads((directory / layout.RESOURCES).read_text())):
        table.add_row(label, escape(value))
    seconds = _busy(manifest["stages"].values())
    table.add_row("time of all stages", f"{seconds / 60:.1f} minutes")
    console.print(table)
    console.print(f"report: {directory / layout.PAGE}", highlight=False, soft_wrap=True, markup=False)

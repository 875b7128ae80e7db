"""What a run found, in a few lines on the terminal; what its firmware costs, also as a README."""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trigger_ml.core import layout
from trigger_ml.core.documents.base import read
from trigger_ml.core.documents.estimates import Estimate
from trigger_ml.core.documents.evaluation import EVALUATION, FLOAT, Evaluation
from trigger_ml.core.documents.model import MODEL_SUMMARY
from trigger_ml.core.documents.obstacles import OBSTACLES
from trigger_ml.core.documents.resources import RESOURCES, TOTAL, ResourceFigure, Resources, TimingFigure
from trigger_ml.core.documents.verification import VERIFICATION, Verification
from trigger_ml.core.run import StageRecord
from trigger_ml.evaluation.reference import against_reference
from trigger_ml.report.facts import widths
from trigger_ml.report.reading import cautions
from trigger_ml.report.robustness import robustness_line

__all__ = [
    "firmware_folders",
    "firmware_readme",
    "firmware_rows",
    "print_firmware",
    "print_summary",
    "resource_rows",
]


def _interval(found: Estimate, digits: int = 4, sign: str = "") -> str:
    if found.value is None:
        return f"undefined ({found.flag or 'too few events'})"
    number = f"{found.value:{sign}.{digits}f}"
    if found.low is None:
        return number
    return f"{number}  [{found.low:{sign}.{digits}f}, {found.high:{sign}.{digits}f}]"


def _physics(evaluation: Evaluation) -> list[tuple[str, str]]:
    rows = []
    trained = evaluation.fair_reference
    reference = FLOAT if trained is None else trained.model
    if given := evaluation.given:
        what = f"{given.measure}, given model by {given.framework}"
        rows.append((f"{what}, own input ({given.input})", _interval(given.own)))
        rows.append((f"{what}, counts", _interval(given.counts)))
    for name, comparison in evaluation.pair().metrics.items():
        if evaluation.task == "type" and name not in ("auc", "hadron_efficiency", "gamma_efficiency"):
            continue
        label, found = evaluation.quantities[name].label, against_reference(evaluation, name)
        assert found is not None
        if name == "auc":
            rows.append((f"{label}, float", _interval(comparison.reference)))
            for other in evaluation.others:
                pair = next(iter(evaluation.comparisons[other].values()))
                rows.append((f"{label}, {other}", _interval(pair.metrics["auc"].reference)))
            rows.append((f"{label}, compressed", _interval(comparison.model)))
            rows.append((f"compressed minus {reference}, paired", _interval(found.difference, sign="+")))
        rows.append((f"{label}, change from {reference}", found.verdict))
    if trained is not None:
        plateau = {True: "on its plateau", False: "below its plateau", None: "plateau not known"}
        rows.append(("float training", f"{plateau[trained.plateau]}: {trained.why}"))
    if (line := robustness_line(evaluation)) is not None:
        rows.append(("robustness", escape(line)))
    return rows + [(key, f"not judged: {why}") for key, why in evaluation.not_judged.items()]


def _cost(figure: ResourceFigure) -> str:
    parts = []
    for name in ("lut", "ff", "bram", "dsp"):
        amount, share = getattr(figure, name), getattr(figure, f"{name}_percent")
        if amount is not None:
            notes = []
            if name == "lut" and figure.lut_low is not None:
                notes.append(f"{figure.lut_low:,} to {figure.lut_high:,}")
            if share:
                notes.append(f"{share:.2g} %")
            parts.append(f"{amount:,} {name.upper()}" + (f" ({', '.join(notes)})" if notes else ""))
    return ", ".join(parts) + ("" if figure.part is None else f" on {figure.part}")


def _timing(figure: TimingFigure, period: float) -> str:
    values = []
    if figure.arrival_ns is not None:
        values.append(f"{figure.arrival_ns:.2f} ns")
    if figure.fmax_mhz is not None:
        values.append(f"{figure.fmax_mhz:.1f} MHz")
    if figure.slack_ns is not None:
        values.append(f"slack {figure.slack_ns:+.2f} ns against {period:g} ns")
    return f"{figure.kind} " + ", ".join(values) + ("" if figure.note is None else f" ({figure.note})")


def resource_rows(resources: Resources) -> list[tuple[str, str]]:
    """What ``resources.json`` says of the whole designs: a label with the source, and the figures."""
    rows = []
    for name, project in resources.projects.items():
        for figure in project.figures:
            if figure.layer == TOTAL:
                rows.append((f"{name}, {figure.source}", _cost(figure)))
        for clocks in project.clocks:
            measured = f"II {clocks.interval:,}, latency {clocks.latency:,} clocks"
            rows.append((f"{name}, {clocks.source}", measured))
        for timing in project.timing:
            rows.append((f"{name}, {timing.source}", _timing(timing, project.clock_period_ns)))
        rows += [(f"{name}, {entry.source}", f"not run: {entry.reason}") for entry in project.not_run]
    return rows


def _verification_rows(verification: Verification) -> list[tuple[str, str]]:
    rows = []
    for name, backend in verification.backends.items():
        text = (
            f"{backend.mismatches} mismatches in {backend.events} events "
            f"and {backend.corner_inputs} corner inputs"
        )
        disturbance = {k: v for k, v in (backend.disturbance or {}).items() if v and k != "seed"}
        if disturbance:
            text += f", {' and '.join(f'{k} {100 * v:g} %' for k, v in disturbance.items())} of the clocks"
        rows.append((f"{name}, bit for bit", text))
    if (random := verification.random_inputs) is not None:
        text = f"{random.mismatches} mismatches in {random.inputs} random inputs"
        rows.append((f"{' and '.join(random.engines)}, bit for bit", text))
    return rows


def firmware_rows(directory: Path) -> list[tuple[str, str]]:
    """What was compared and what it costs: a label and the figures, for each engine and source."""
    verification = read(directory / layout.VERIFICATION, VERIFICATION)
    resources = read(directory / layout.RESOURCES, RESOURCES)
    return [*_verification_rows(verification), *resource_rows(resources)]


def print_firmware(directory: Path, console: Console) -> None:
    """Print mismatches, resources and clocks of a run's firmware, each with its source."""
    table = Table(show_header=False)
    for label, value in firmware_rows(directory):
        table.add_row(label, escape(value))
    console.print(table)


def firmware_folders(firmware: Path, above: str) -> str:
    """A line for each firmware project in a folder."""
    folders = {
        "hls": "the hls4ml project",
        "rtl": "the RTL project (its own README.txt names its files)",
        "emulator": "the emulator in C++, with an example and a self-check",
        "vectors": "golden test vectors of every layer",
    }
    lines = [f"- `{above}{name}/`: {what}" for name, what in folders.items() if (firmware / name).is_dir()]
    return "\n".join([*lines, "- `synthesis/`: logs and reports of the tools that ran"])


def firmware_readme(directory: Path) -> str:
    """What goes with exported firmware projects: what is where, what was verified, what it costs."""
    manifest = json.loads((directory / layout.MANIFEST).read_text())
    rows = "\n".join(f"| {label} | {value} |" for label, value in firmware_rows(directory))
    listed = firmware_folders(directory / layout.FIRMWARE, "")
    return f"""# Firmware of {manifest["name"]}

{listed}
- `verification.json`, `resources.json`: all figures, each with its source

| | |
|---|---|
{rows}
"""


def _busy(records: Iterable[StageRecord]) -> float:
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
    manifest = json.loads((directory / layout.MANIFEST).read_text())
    evaluation = read(directory / layout.EVALUATION, EVALUATION)
    model = read(directory / layout.MODEL_SUMMARY, MODEL_SUMMARY)
    content = 100 * evaluation.settings.confidence
    title = f"{manifest['name']}: {evaluation.events.used} test events, \\[{content:g} % intervals]"
    table = Table(title=title, title_justify="left", show_header=False)
    for said in cautions(model):
        table.add_row("note", escape(said))
    for label, value in _physics(evaluation):
        table.add_row(label, value)
    table.add_section()
    bits = {part: widths(manifest["config"], model, part) for part in ("weights", "activations")}
    compressed, small, large = model.compressed, model.compressed.bytes.packed, model.float.bytes.dense
    if compressed.sparsity is not None:
        zeros = f"{100 * compressed.sparsity:.1f} % of {compressed.weights} weights are zero"
        table.add_row("sparsity", zeros)
    table.add_row("bits", f"weights {bits['weights']}, activations {bits['activations']}")
    if small is not None and large is not None:
        smaller = f"{large / small:.1f} x smaller"
        table.add_row("size", f"{large / 1000:.1f} kB → {small / 1000:.1f} kB ({smaller})")
    table.add_section()
    if (directory / layout.OBSTACLES).is_file():
        table.add_row("firmware", escape(read(directory / layout.OBSTACLES, OBSTACLES).sentence))
    else:
        verification = read(directory / layout.VERIFICATION, VERIFICATION)
        for label, value in _verification_rows(verification):
            table.add_row(label, escape(value))
        exact = (
            "proven for every layer" if verification.exact_float32 else "not proven: see verification.json"
        )
        table.add_row("float32 exact", exact)
        table.add_section()
        for label, value in resource_rows(read(directory / layout.RESOURCES, RESOURCES)):
            table.add_row(label, escape(value))
    seconds = _busy(manifest["stages"].values())
    table.add_row("time of all stages", f"{seconds / 60:.1f} minutes")
    console.print(table)
    console.print(f"report: {directory / layout.PAGE}", highlight=False, soft_wrap=True, markup=False)

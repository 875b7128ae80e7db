"""The report of one run: a single HTML file that needs nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import yaml

from trigger_ml.core.files import write_text
from trigger_ml.report import formatting
from trigger_ml.report.content import RunContent, read_run
from trigger_ml.report.figures import draw_all, specs
from trigger_ml.report.firmware import firmware_tables, latency_tile, lut_tile, not_run
from trigger_ml.report.reading import dig, histories, layer_rows, size
from trigger_ml.report.reference import read_reference

__all__ = ["Tile", "environment", "value_pair", "write_report"]

TASKS = {
    "type": "particle type (gamma or hadron)",
    "energy": "energy",
    "direction": "direction",
}
# which figure of merit answers "what did compression cost?", and the one that a trigger lives by
HEADLINES = {
    "type": ("auc", "hadron_efficiency"),
    "energy": ("energy_resolution", "energy_bias"),
    "direction": ("angular_resolution", "mean_separation"),
}
PERCENTAGES = (
    "hadron_efficiency",
    "gamma_efficiency",
    "energy_resolution",
    "energy_bias",
    "energy_mean_bias",
    "energy_std",
    "energy_gauss_width",
)


@dataclass(frozen=True)
class Tile:
    """One number of the first screen.

    Parameters
    ----------
    label, value, note : str
    state : str
        ``unchanged``, ``better``, ``worse``, ``unresolved``, ``undefined`` or empty.
    """

    label: str
    value: str
    note: str = ""
    state: str = ""


def environment() -> jinja2.Environment:
    """Templates with the number formats as filters."""
    result = jinja2.Environment(
        loader=jinja2.PackageLoader("trigger_ml.report"),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    result.filters |= {
        "number": formatting.number,
        "interval": formatting.interval,
        "percent": formatting.percent,
        "count": formatting.count,
        "duration": formatting.duration,
        "bytes": formatting.bytes_,
        "glue": formatting.glue,
    }
    return result


def value_pair(comparison: Mapping[str, Any], as_percent: bool, digits: int = 4) -> str:
    """Values of the float and of the compressed model, with an arrow between."""
    values = [comparison[side]["value"] for side in ("float", "compressed")]
    if as_percent:
        return " → ".join(formatting.percent(v) for v in values)
    return " → ".join(formatting.number(v, digits) for v in values)


def _headline(content: RunContent) -> tuple[str, list[Tile]]:
    """The answer in one or two sentences, and the tiles below it."""
    evaluation = content.evaluation
    tiles: list[Tile] = []
    if not evaluation:
        return "Not measured: the models have not been compared on test events.", tiles
    names = [n for n in HEADLINES[content.task] if n in evaluation["metrics"]]
    sentences = []
    efficiency = f"{100 * evaluation['settings']['gamma_efficiency']:g} %"
    for name in names:
        comparison, label = evaluation["metrics"][name], evaluation["quantities"][name]["label"]
        label = f"Background at {efficiency} gamma efficiency" if name == "hadron_efficiency" else label
        sentences.append(f"{label}: {comparison['verdict']}.")
        unit = evaluation["quantities"][name]["unit"]
        value = value_pair(comparison, name in PERCENTAGES) + (f" {unit}" if unit else "")
        tiles.append(Tile(label, value, comparison["verdict"], comparison["state"]))
    return " ".join(sentences), tiles


def _model_tiles(content: RunContent) -> list[Tile]:
    sizes = [
        dig(content.model, "float", "bytes", "dense"),
        dig(content.model, "compressed", "bytes", "packed"),
    ]
    tiles = []
    if None not in sizes:
        tiles.append(
            Tile(
                "Model size",
                " → ".join(formatting.bytes_(s) for s in sizes),
                f"{formatting.number(sizes[0] / sizes[1], 2)} × smaller: float32, and packed non-zero",
            )
        )
    bits = dig(content.config, "compression", "quantization", "default", "weights")
    sparsity = dig(content.model, "compressed", "sparsity")
    if bits is not None:
        default_note = "of the weights are zero, measured"
        value = f"{bits} bit" if sparsity is None else f"{bits} bit, {formatting.percent(sparsity)}"
        tiles.append(Tile("Weights", value, "" if sparsity is None else default_note))
    return tiles


def _firmware_tiles(content: RunContent) -> list[Tile]:
    tiles = []
    backends = dig(content.verification, "backends", default={})
    if backends:
        wrong = sum(b.get("mismatches") or 0 for b in backends.values())
        events = ", ".join(f"{name} {b.get('events', 0):,}" for name, b in backends.items())
        tiles.append(
            Tile(
                "Firmware, bit for bit",
                "equal" if wrong == 0 else f"{wrong:,} mismatches",
                f"events compared: {events}",
                "unchanged" if wrong == 0 else "worse",
            )
        )
    else:
        tiles.append(Tile("Firmware, bit for bit", "not measured", "see the end of the page"))
    for label, found in (("LUTs", lut_tile(content.resources)), ("Latency", latency_tile(content.resources))):
        if found is not None:
            tiles.append(Tile(label, *found))
    return tiles


def _flatten(content: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Nested values as rows of a path and a value; short lists stay in one row."""
    if isinstance(content, Mapping):
        rows: list[tuple[str, Any]] = []
        for key, value in content.items():
            rows += _flatten(value, f"{prefix} › {key}" if prefix else str(key))
        return rows
    if isinstance(content, list):
        if all(not isinstance(item, Mapping | list) for item in content):
            shown = ", ".join(formatting.number(item) for item in content[:12])
            return [(prefix, shown + (" …" if len(content) > 12 else ""))]
        rows = []
        for index, item in enumerate(content):
            name = item.get("name", index + 1) if isinstance(item, Mapping) else index + 1
            rows += _flatten(item, f"{prefix} › {name}" if prefix else str(name))
        return rows
    return [(prefix, content)]


def _gaps(content: RunContent) -> list[str]:
    """What was not measured, and why."""
    gaps = list(content.missing.values())
    evaluation = content.evaluation
    gaps += not_run(content.resources)
    gaps += [str(flag) for flag in evaluation.get("flags", ())]
    if evaluation and not dig(evaluation, "irf", "models"):
        reason = dig(evaluation, "irf", "reason")
        gaps.append(
            f"Effective area, background rate and sensitivity: {reason}"
            if reason
            else "Effective area, background rate and sensitivity: they were not asked for in this evaluation"
        )
    if content.model and not histories(content.model):
        gaps.append("Training curves: the model was not trained in this run")
    undefined = [
        evaluation["quantities"][name]["label"]
        for name, comparison in dig(evaluation, "metrics", default={}).items()
        if comparison["state"] == "undefined"
    ]
    if undefined:
        gaps.append(f"Change of {', '.join(undefined)}: undefined for these events")
    return gaps


def _seconds(content: RunContent, stage: str) -> float | None:
    found = dig(content.manifest, "stages", stage, "seconds")
    return None if found is None else float(found)


EPOCHS = {
    "Epochs, float": ("float", "history"),
    "Epochs, pruning": ("compressed", "pruning_history"),
    "Epochs, compressed": ("compressed", "history"),
}


def _general(content: RunContent) -> list[tuple[str, Any]]:
    """The run in one table: what, when, with which events and settings."""
    config, events = content.config, dig(content.evaluation, "events", default={})
    started = content.manifest.get("started")
    when = datetime.fromisoformat(started).strftime("%d %B %Y, %H:%M %Z") if started else None
    rows: list[tuple[str, Any]] = [
        ("Started", when),
        ("Task", TASKS.get(content.task, content.task)),
        ("Command", content.manifest.get("command")),
    ]
    for label, path in EPOCHS.items():
        history = dig(content.model, *path)
        if history:
            planned = formatting.count(history["epochs_planned"])
            rows.append((label, f"{formatting.count(history['epochs_run'])} run of {planned} planned"))
    rows.append(("Batch size", dig(config, "train", "batch_size")))
    for key, label in (("train", "Training"), ("validation", "Validation"), ("test", "Test")):
        found = dig(content.model, "events", key)
        if found is not None:
            rows.append((f"{label} events", found))
    if events:
        rows.append(
            (
                "Events judged",
                f"{events['used']:,} ({events['gamma']:,} gammas, {events['hadron']:,} hadrons) "
                f"from {events['showers']:,} showers",
            )
        )
    for stage, label in (("train", "Training time"), ("compress", "Compression time")):
        if (seconds := _seconds(content, stage)) is not None:
            rows.append((label, formatting.duration(seconds)))
    for name in ("float", "compressed"):
        seconds = dig(content.evaluation, "inference", name, "seconds")
        if seconds is not None:
            total = dig(content.evaluation, "inference", name, "events") or events.get("given")
            each = f", {formatting.duration(seconds / total)} per event" if total else ""
            rows.append((f"Inference time, {name}", formatting.duration(seconds) + each))
    return [(label, value) for label, value in rows if value not in (None, "")]


def _model_table(content: RunContent) -> list[tuple[str, Any, Any]]:
    """Size and cost of the two models side by side."""
    rows = (
        ("Parameters", "parameters", formatting.count),
        ("Weights", "weights", formatting.count),
        ("Weights that are not zero", "nonzero_weights", formatting.count),
        ("Sparsity", "sparsity", formatting.percent),
        ("Layers", "n_layers", formatting.count),
        ("Multiplications per event", "macs", formatting.count),
        ("Multiplications by a weight that is not zero", "macs_nonzero", formatting.count),
        ("GFLOPs per event", "gflops", formatting.number),
        ("Size as float32", "dense", formatting.bytes_),
        ("Size packed, zeros left out", "packed", formatting.bytes_),
        ("Size after gzip", "gzip", formatting.bytes_),
    )
    table = []
    for label, key, show in rows:
        values = [size(content.model, name, key) for name in ("float", "compressed")]
        if any(v is not None for v in values):
            table.append((label, show(values[0]), show(values[1])))
    return table


def write_report(run_directory: Path, reference: Path | None = None) -> Path:
    """Write ``report.html`` and ``figures/`` of a run.

    Parameters
    ----------
    run_directory : Path
        Holds ``manifest.json``; ``model/model.json``, ``verification.json``, ``evaluation.json`` and
        ``resources.json`` are used where they are there, and named as not measured where they are not.
    reference : Path, optional
        Published curves to lay over (see `trigger_ml.report.reference.read_reference`).

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    InputError
        If the folder is no run directory or a file in it cannot be read.
    """
    content = read_run(run_directory)
    curves = [] if reference is None else read_reference(reference)
    figures = draw_all(specs(content, curves), run_directory / "figures")
    answer, tiles = _headline(content)
    page = (
        environment()
        .get_template("report.html")
        .render(
            content=content,
            evaluation=content.evaluation,
            verification=content.verification,
            answer=answer,
            tiles=[*tiles, *_model_tiles(content), *_firmware_tiles(content)],
            task=TASKS.get(content.task, content.task),
            figures=figures,
            general=_general(content),
            models=_model_table(content),
            layers={name: layer_rows(content.model, name) for name in ("float", "compressed")},
            resources=firmware_tables(content.resources),
            verification_rows=_flatten(
                {
                    k: v
                    for k, v in content.verification.items()
                    if k not in ("backends", "events", "corner_inputs", "layers", "proof")
                }
            ),
            config=yaml.safe_dump(dict(content.config), sort_keys=False),
            gaps=_gaps(content),
            percentages=PERCENTAGES,
        )
    )
    target = run_directory / "report.html"
    write_text(target, page)
    return target

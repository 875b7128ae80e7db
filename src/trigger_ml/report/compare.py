"""Any number of runs on one page: a table to sort, curves over each other, costs against savings."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from trigger_ml.core.errors import InputError
from trigger_ml.core.foreign import reading
from trigger_ml.evaluation.reference import against_reference
from trigger_ml.report import formatting
from trigger_ml.report.checked import require_comparable
from trigger_ml.report.content import RunContent, read_run
from trigger_ml.report.facts import HEADLINES, PERCENTAGES, TASKS
from trigger_ml.report.pareto import Axis, Explorer, explorer
from trigger_ml.report.plots import binned_label, energy_axis, interval_points
from trigger_ml.report.reading import firmware_clocks, firmware_figure, size
from trigger_ml.report.reference import Curve, read_reference
from trigger_ml.report.rendering import write_page
from trigger_ml.report.style import Drawn, Palette, figure, save

__all__ = ["compare"]

MARKERS = "os^DvPX"
MAX_CURVES = len(MARKERS)


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    label: str
    numeric: bool = True


@dataclass(frozen=True)
class Cell:
    """A cell of the table; ``sort`` is empty where there is nothing to sort by."""

    text: str
    sort: float | str = ""
    note: str = ""
    state: str = ""


def _names(runs: Sequence[RunContent]) -> list[str]:
    """Names of the runs; equal ones are told apart by their folders."""
    names = [run.name for run in runs]
    if len(set(names)) == len(names):
        return names
    folders = [run.path.resolve() for run in runs]
    short = [folder.name for folder in folders]
    if len(set(short)) == len(short):
        return short
    common = os.path.commonpath(folders)
    return [str(folder.relative_to(common)) for folder in folders]


def _quantities(runs: Sequence[RunContent], task: str) -> list[str]:
    """Figures of merit that some run has, the headline ones first."""
    found = {name for run in runs for name in run.evaluation["metrics"]}
    first = [name for name in HEADLINES[task] if name in found]
    order = runs[0].evaluation["metrics"]
    return first + [name for name in order if name in found and name not in first]


def _metric_cell(run: RunContent, name: str) -> Cell:
    content = run.evaluation["metrics"].get(name)
    if content is None or content["compressed"]["value"] is None:
        return Cell(formatting.DASH)
    scale = 100.0 if name in PERCENTAGES else 1.0
    return Cell(
        formatting.interval(content["compressed"], scale),
        content["compressed"]["value"] * scale,
        f"float {formatting.number(content['float']['value'] * scale, 4)}"
        if content["float"]["value"] is not None
        else "",
    )


def _difference_cell(run: RunContent, other: RunContent, name: str) -> Cell:
    """Difference of the compressed models of two runs, intervals in quadrature."""
    parts = [r.evaluation["metrics"].get(name, {}).get("compressed", {}) for r in (run, other)]
    if any(part.get("value") is None or part.get("low") is None for part in parts):
        return Cell(formatting.DASH)
    if run is other:
        return Cell("reference", 0.0)
    scale = 100.0 if name in PERCENTAGES else 1.0
    change = parts[0]["value"] - parts[1]["value"]
    half = math.hypot(*(0.5 * (part["high"] - part["low"]) for part in parts))
    content = {"value": change, "low": change - half, "high": change + half}
    return Cell(formatting.interval(content, scale, True), change * scale)


def _plain(value: Any, show: Callable[[Any], str], note: str = "") -> Cell:
    return Cell(formatting.DASH) if value is None else Cell(show(value), float(value), note)


def _resource(run: RunContent, what: str) -> tuple[Any, str]:
    """``lut`` or ``latency`` with its source; None where it is not known."""
    found = firmware_figure(run.resources) if what == "lut" else firmware_clocks(run.resources)
    return (None, "") if found is None else (found[what], str(found["source"]))


def _resource_cell(run: RunContent, what: str) -> Cell:
    value, source = _resource(run, what)
    return _plain(value, formatting.number, source)


def _table(
    runs: Sequence[RunContent], names: Sequence[str], task: str, reference: int, output: Path
) -> tuple[list[Column], list[dict[str, Any]]]:
    quantities = _quantities(runs, task)
    labels = {
        q: next(r.evaluation["quantities"][q] for r in runs if q in r.evaluation["metrics"])
        for q in quantities
    }
    head = [name for name in HEADLINES[task] if name in quantities]

    def heading(name: str) -> str:
        unit = labels[name]["unit"] or ("%" if name in PERCENTAGES else "")
        return f"{labels[name]['label']} ({unit})" if unit else str(labels[name]["label"])

    columns = [Column("Run", False)]
    columns += [Column(f"{labels[name]['label']}: verdict", False) for name in head]
    columns += [Column("Sparsity (%)"), Column("Size packed"), Column("LUT"), Column("Latency (clocks)")]
    columns += [Column(heading(name)) for name in quantities]
    columns += [Column(f"Δ {heading(name)}") for name in head]
    rows = []
    for run, name in zip(runs, names, strict=True):
        cells = [Cell(name, name)]
        for quantity in head:
            content = against_reference(run.evaluation, quantity)
            if content is None:
                cells.append(Cell(formatting.DASH))
                continue
            value = content["ratio"]["value"]
            cells.append(Cell(content["verdict"], "" if value is None else value, "", content["state"]))
        sparsity = size(run.model, "compressed", "sparsity")
        cells += [
            _plain(None if sparsity is None else 100 * sparsity, formatting.number),
            _plain(size(run.model, "compressed", "packed"), formatting.bytes_),
            _resource_cell(run, "lut"),
            _resource_cell(run, "latency"),
        ]
        cells += [_metric_cell(run, quantity) for quantity in quantities]
        cells += [_difference_cell(run, runs[reference], quantity) for quantity in head]
        report = run.path / "report.html"
        link = os.path.relpath(report, output.parent) if report.is_file() else ""
        rows.append({"name": name, "cells": cells, "link": link})
    return columns, rows


def _loss(content: Mapping[str, Any] | None, better: str) -> tuple[float | None, float | None, float | None]:
    """Relative loss in percent with its interval: positive is worse."""
    ratio = (content or {}).get("ratio", {})
    numbers = [ratio.get(key) for key in ("value", "low", "high")]
    if numbers[0] is None:
        return None, None, None
    sign = 1.0 if better == "lower" else -1.0
    value, low, high = (None if x is None else 100.0 * sign * (x - 1.0) for x in numbers)
    return (value, low, high) if sign > 0 else (value, high, low)


def _explorer(runs: Sequence[RunContent], names: Sequence[str], task: str) -> Explorer | None:
    def firmware(what: str) -> list[float | None]:
        return [_resource(run, what)[0] for run in runs]

    savings = [
        Axis("Size packed (bytes)", [size(run.model, "compressed", "packed") for run in runs]),
        Axis("LUT", firmware("lut")),
        Axis("Latency (clocks)", firmware("latency")),
        Axis("Weights that are not zero", [size(run.model, "compressed", "nonzero_weights") for run in runs]),
    ]
    costs = []
    for name in _quantities(runs, task):
        quantity = next(r.evaluation["quantities"][name] for r in runs if name in r.evaluation["quantities"])
        if quantity["better"] == "zero" or name not in (*HEADLINES[task], "gamma_efficiency"):
            continue
        losses = [_loss(against_reference(run.evaluation, name), quantity["better"]) for run in runs]
        low, value, high = ([x[i] for x in losses] for i in (1, 0, 2))
        costs.append(Axis(f"{quantity['label']}: loss (%)", value, low, high))
    return explorer(names, savings, costs)


def _curves(
    runs: Sequence[RunContent], names: Sequence[str], task: str, curves: Sequence[Curve], folder: Path
) -> list[Drawn]:
    drawn = []
    shown = list(zip(runs, names, strict=True))[:MAX_CURVES]

    def overlaid(palette: Palette, name: str, what: str) -> Figure:
        drawing = figure(6.4, 4.4)
        axes = drawing.subplots()
        ends = []
        for number, (run, label) in enumerate(shown):
            if name not in run.evaluation["bins"]:
                continue
            edges = np.asarray(run.evaluation["energy_bins"]["edges"], dtype=np.float64)
            ends += [edges[0], edges[-1]]
            style: dict[str, Any] = {
                "color": palette.series[number],
                "marker": MARKERS[number],
                "linestyle": "-",
                "label": label,
            }
            shift = 0.7 * ((number + 0.5) / len(shown) - 0.5)
            rows = [row[what] for row in run.evaluation["bins"][name]]
            interval_points(axes, edges, rows, shift, **style)
        for curve in curves if what == "compressed" else ():
            if curve.quantity == name:
                axes.plot(
                    curve.energy, curve.value, color=palette.reference, linestyle="-.", label=curve.label
                )
        labels = {binned_label(run.evaluation) for run, _ in shown if name in run.evaluation["bins"]}
        energy_axis(axes, [min(ends), max(ends)], " / ".join(sorted(labels)))
        if what == "ratio":
            axes.axhline(1.0, color=palette.muted, linewidth=1)
        label = next(
            r.evaluation["quantities"][name]["label"] for r in runs if name in r.evaluation["quantities"]
        )
        axes.set_ylabel(label if what == "compressed" else f"{label}:\ncompressed / float")
        # above the axes: curves of many runs leave no corner free
        drawing.legend(loc="outside upper left", ncols=3, fontsize=8.5)
        return drawing

    for name in HEADLINES[task]:
        if not any(name in run.evaluation["bins"] for run in runs):
            continue
        found = next(r.evaluation["quantities"][name] for r in runs if name in r.evaluation["quantities"])
        for what, title in (
            ("compressed", found["label"]),
            ("ratio", f"{found['label']}, compressed / float"),
        ):
            if what == "ratio" and found["better"] == "zero":
                continue
            caption = "Compressed models; bars are bootstrap intervals, hollow points have too few events."
            drawn.append(
                save(
                    f"{name}_{what}",
                    title,
                    caption,
                    lambda palette, name=name, what=what: overlaid(palette, name, what),  # type: ignore[misc]
                    folder,
                )
            )
    return drawn


def _answer(runs: Sequence[RunContent], names: Sequence[str], task: str) -> str:
    """The smallest model that costs nothing measurable, in a sentence."""
    name = HEADLINES[task][0]
    rows = [
        (size(r.model, "compressed", "packed"), n, against_reference(r.evaluation, name))
        for r, n in zip(runs, names, strict=True)
    ]
    label = next(
        r.evaluation["quantities"][name]["label"] for r in runs if name in r.evaluation["quantities"]
    )
    free = [
        (s, n)
        for s, n, m in rows
        if s is not None and m is not None and (m["state"] in ("unchanged", "better") or m["refused"])
    ]
    if free:
        smallest = min(free)
        given = f"{smallest[1]} ({formatting.bytes_(smallest[0])})"
        return f"Smallest run whose {label} is not worse than its reference's: {given}."
    losses = [
        (m["ratio"]["value"], n, m) for _, n, m in rows if m is not None and m["ratio"]["value"] is not None
    ]
    if not losses:
        return f"No run has a {label} to compare."
    better = runs[0].evaluation["quantities"][name]["better"]
    best = (max if better == "higher" else min)(losses, key=lambda item: item[0])
    return f"Every run loses {label}; the least is {best[1]}: {best[2]['verdict']}."


def _gaps(
    contents: Sequence[RunContent], runs: Sequence[RunContent], names: Sequence[str], curves: Sequence[Curve]
) -> list[str]:
    """What could not be compared, or not on equal terms, and why."""
    gaps = [f"{c.name} ({c.path}): {c.missing['evaluation']}" for c in contents if not c.evaluation]
    given = {(run.evaluation["events"]["used"], run.evaluation["settings"]["seed"]) for run in runs}
    if len(given) > 1:
        gaps.append(
            "Runs were judged on different events: differences between them hold that fluctuation too"
        )
    if len(runs) > MAX_CURVES:
        gaps.append(f"Curves are drawn for the first {MAX_CURVES} of {len(runs)} runs; the table has all")
    for label in ("LUT", "latency"):
        without = [n for r, n in zip(runs, names, strict=True) if _resource(r, label.lower())[0] is None]
        if without:
            which = "all runs" if len(without) == len(runs) else ", ".join(without)
            gaps.append(f"{label}: not measured in {which} (see resources.json there)")
    return gaps + [f"Reference {curve.label}: {curve.assumption}" for curve in curves]


def compare(
    run_dirs: Sequence[Path],
    output: Path,
    reference: Path | None = None,
    published: Path | None = None,
) -> Path:
    """Write a page that compares runs.

    Parameters
    ----------
    run_dirs : sequence of Path
        Run directories with ``evaluation.json``; those without are named on the page.
    output : Path
        The HTML file; figures go to a folder beside it.
    reference : Path, optional
        Run that differences refer to; default is the first.
    published : Path, optional
        Published curves to lay over (see `trigger_ml.report.reference.read_reference`).

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    InputError
        If no run has been evaluated, a file of one lacks what is compared, tasks differ, or the reference is
        not among the runs.
    """
    contents = [read_run(Path(path)) for path in run_dirs]
    runs = [content for content in contents if content.evaluation]
    if not runs:
        raise InputError("runs to compare", "none has been evaluated", "Run `trigger-ml evaluate` on them")
    for run in runs:
        require_comparable(run)
    tasks = sorted({run.task for run in runs})
    if len(tasks) > 1:
        raise InputError(
            "runs to compare", f"their tasks differ: {', '.join(tasks)}", "Compare runs of one task"
        )
    task, names = tasks[0], _names(runs)
    chosen = 0
    if reference is not None:
        paths = [run.path.resolve() for run in runs]
        if Path(reference).resolve() not in paths:
            raise InputError(str(reference), "is not among the runs compared", "Name one of the runs")
        chosen = paths.index(Path(reference).resolve())
    folder = output.with_name(f"{output.stem}-figures")
    curves = [] if published is None else read_reference(published)
    again = "Run `trigger-ml evaluate` for all of them again, with this version"
    with reading("runs to compare", "set of evaluations of this version", again):
        columns, rows = _table(runs, names, task, chosen, output)
        answer, plot = _answer(runs, names, task), _explorer(runs, names, task)
        gaps = _gaps(contents, runs, names, curves)
    return write_page(
        output,
        "compare.html",
        task=TASKS[task],
        reference=names[chosen],
        answer=answer,
        columns=columns,
        rows=rows,
        plot=plot,
        figures=_curves(runs, names, task, curves, folder),
        gaps=gaps,
        folder=folder.name,
    )

"""Any number of runs on one page: a table to sort, curves over each other, costs against savings."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from trigger_ml.core.documents.estimates import Comparison
from trigger_ml.core.errors import InputError
from trigger_ml.core.foreign import reading
from trigger_ml.evaluation.reference import against_reference
from trigger_ml.report import formatting
from trigger_ml.report.checked import require_comparable
from trigger_ml.report.compare_table import table_of
from trigger_ml.report.compared import Run, quantities_of, quantity_of, resource_of
from trigger_ml.report.content import RunContent, read_run
from trigger_ml.report.facts import HEADLINES, TASKS
from trigger_ml.report.pareto import Axis, Explorer, explorer
from trigger_ml.report.plots import Style, binned_label, energy_axis, interval_points
from trigger_ml.report.reference import Curve, read_reference
from trigger_ml.report.rendering import write_page
from trigger_ml.report.style import Drawn, Palette, figure, save

__all__ = ["compare"]

MARKERS = "os^DvPX"
MAX_CURVES = len(MARKERS)
RESOURCES: dict[str, Literal["lut", "latency"]] = {"LUT": "lut", "latency": "latency"}


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


def _loss(found: Comparison | None, better: str) -> tuple[float | None, float | None, float | None]:
    """Relative loss in percent with its interval: positive is worse."""
    if found is None or found.ratio.value is None:
        return None, None, None
    sign = 1.0 if better == "lower" else -1.0
    ratio = found.ratio
    value, low, high = (
        None if x is None else 100.0 * sign * (x - 1.0) for x in (ratio.value, ratio.low, ratio.high)
    )
    return (value, low, high) if sign > 0 else (value, high, low)


def _explorer(runs: Sequence[Run], names: Sequence[str], task: str) -> Explorer | None:
    def firmware(what: Literal["lut", "latency"]) -> list[float | None]:
        return [resource_of(run, what)[0] for run in runs]

    savings = [
        Axis("Size packed (bytes)", [run.size("packed") for run in runs]),
        Axis("LUT", firmware("lut")),
        Axis("Latency (clocks)", firmware("latency")),
        Axis("Weights that are not zero", [run.size("nonzero_weights") for run in runs]),
    ]
    costs = []
    for name in quantities_of(runs, task):
        quantity = quantity_of(runs, name)
        if quantity.better == "zero" or name not in (*HEADLINES[task], "gamma_efficiency"):
            continue
        losses = [_loss(against_reference(run.evaluation, name), quantity.better) for run in runs]
        low, value, high = ([x[i] for x in losses] for i in (1, 0, 2))
        costs.append(Axis(f"{quantity.label}: loss (%)", value, low, high))
    return explorer(names, savings, costs)


def _curves(
    runs: Sequence[Run], names: Sequence[str], task: str, curves: Sequence[Curve], folder: Path
) -> list[Drawn]:
    drawn = []
    shown = list(zip(runs, names, strict=True))[:MAX_CURVES]

    def overlaid(palette: Palette, name: str, what: Literal["compressed", "ratio"]) -> Figure:
        drawing = figure(6.4, 4.4)
        axes = drawing.subplots()
        ends = []
        for number, (run, label) in enumerate(shown):
            if name not in run.bins:
                continue
            edges = np.asarray(run.evaluation.energy_bins.edges, dtype=np.float64)
            ends += [edges[0], edges[-1]]
            style: Style = {
                "color": palette.series[number],
                "marker": MARKERS[number],
                "linestyle": "-",
                "label": label,
            }
            shift = 0.7 * ((number + 0.5) / len(shown) - 0.5)
            rows = [row.ratio if what == "ratio" else row.model for row in run.bins[name]]
            interval_points(axes, edges, rows, shift, **style)
        for curve in curves if what == "compressed" else ():
            if curve.quantity == name:
                axes.plot(
                    curve.energy, curve.value, color=palette.reference, linestyle="-.", label=curve.label
                )
        labels = {binned_label(run.evaluation) for run, _ in shown if name in run.bins}
        energy_axis(axes, [min(ends), max(ends)], " / ".join(sorted(labels)))
        if what == "ratio":
            axes.axhline(1.0, color=palette.muted, linewidth=1)
        label = quantity_of(runs, name).label
        axes.set_ylabel(label if what == "compressed" else f"{label}:\ncompressed / float")
        # above the axes: curves of many runs leave no corner free
        drawing.legend(loc="outside upper left", ncols=3, fontsize=8.5)
        return drawing

    for name in HEADLINES[task]:
        if not any(name in run.bins for run in runs):
            continue
        found = quantity_of(runs, name)
        kinds: tuple[tuple[Literal["compressed", "ratio"], str], ...] = (
            ("compressed", found.label),
            ("ratio", f"{found.label}, compressed / float"),
        )
        for what, title in kinds:
            if what == "ratio" and found.better == "zero":
                continue
            caption = "Compressed models; bars are bootstrap intervals, hollow points have too few events."
            drawn.append(
                save(
                    f"{name}_{what}",
                    title,
                    caption,
                    partial(overlaid, name=name, what=what),
                    folder,
                )
            )
    return drawn


def _answer(runs: Sequence[Run], names: Sequence[str], task: str) -> str:
    """The smallest model that costs nothing measurable, in a sentence."""
    name = HEADLINES[task][0]
    found = [
        (run, label, against_reference(run.evaluation, name)) for run, label in zip(runs, names, strict=True)
    ]
    rows = [(run, label, row) for run, label, row in found if row is not None]
    quantity = quantity_of(runs, name)
    free = [
        (packed, label)
        for run, label, row in rows
        if (packed := run.size("packed")) is not None
        and (row.state in ("unchanged", "better") or row.refused)
    ]
    if free:
        smallest = min(free)
        given = f"{smallest[1]} ({formatting.bytes_(smallest[0])})"
        return f"Smallest run whose {quantity.label} is not worse than its reference's: {given}."
    losses = [(row.ratio.value, label, row) for _, label, row in rows if row.ratio.value is not None]
    if not losses:
        return f"No run has a {quantity.label} to compare."
    best = (max if quantity.better == "higher" else min)(losses, key=lambda item: item[0])
    return f"Every run loses {quantity.label}; the least is {best[1]}: {best[2].verdict}."


def _gaps(
    contents: Sequence[RunContent], runs: Sequence[Run], names: Sequence[str], curves: Sequence[Curve]
) -> list[str]:
    """What could not be compared, or not on equal terms, and why."""
    gaps = [f"{c.name} ({c.path}): {c.missing['evaluation']}" for c in contents if c.evaluation is None]
    given = {(run.evaluation.events.used, run.evaluation.settings.seed) for run in runs}
    if len(given) > 1:
        gaps.append(
            "Runs were judged on different events: differences between them hold that fluctuation too"
        )
    if len(runs) > MAX_CURVES:
        gaps.append(f"Curves are drawn for the first {MAX_CURVES} of {len(runs)} runs; the table has all")
    for label, what in RESOURCES.items():
        without = [n for r, n in zip(runs, names, strict=True) if resource_of(r, what)[0] is None]
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
    runs = [Run(found, require_comparable(found)) for found in contents if found.evaluation is not None]
    if not runs:
        raise InputError("runs to compare", "none has been evaluated", "Run `trigger-ml evaluate` on them")
    tasks = sorted({run.evaluation.task for run in runs})
    if len(tasks) > 1:
        raise InputError(
            "runs to compare", f"their tasks differ: {', '.join(tasks)}", "Compare runs of one task"
        )
    task, names = tasks[0], _names([run.content for run in runs])
    chosen = 0
    if reference is not None:
        paths = [run.content.path.resolve() for run in runs]
        if Path(reference).resolve() not in paths:
            raise InputError(str(reference), "is not among the runs compared", "Name one of the runs")
        chosen = paths.index(Path(reference).resolve())
    folder = output.with_name(f"{output.stem}-figures")
    curves = [] if published is None else read_reference(published)
    again = "Run `trigger-ml evaluate` for all of them again, with this version"
    with reading("runs to compare", "set of evaluations of this version", again):
        columns, rows = table_of(runs, names, task, chosen, output)
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

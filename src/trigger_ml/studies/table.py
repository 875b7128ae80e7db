"""What a sweep found: one table and one figure."""

import csv
import io
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trigger_ml.core import layout
from trigger_ml.core.documents.base import Kind, read
from trigger_ml.core.documents.evaluation import EVALUATION, Evaluation
from trigger_ml.core.documents.model import MODEL_SUMMARY, ModelSummary
from trigger_ml.core.documents.resources import RESOURCES, Resources
from trigger_ml.core.documents.verification import VERIFICATION
from trigger_ml.core.errors import InputError
from trigger_ml.core.files import write_bytes, write_text
from trigger_ml.core.run import RunDirectory
from trigger_ml.evaluation.quantities import HEADLINES, QUANTITIES
from trigger_ml.evaluation.reference import REFERENCES, against_reference
from trigger_ml.pipeline.execute import is_done_until
from trigger_ml.report.reading import firmware_figure
from trigger_ml.studies.sweep import Point, SweepConfig, finished

__all__ = ["curves", "rows", "write_summary"]

# Okabe and Ito's colour-blind safe palette
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
SPARSITY = "compression.pruning.sparsity"
SEED = "compression.seed"
type Row = dict[str, Any]


def rows(sweep: SweepConfig, grid: list[Point], directory: Path) -> list[Row]:
    """One row for each finished point: its values, what it is worth, sparsity reached, sizes and costs.

    Parameters
    ----------
    sweep : SweepConfig
    grid : list of Point
    directory : Path
        The sweep's folder.

    Returns
    -------
    list of dict
        The task's first figure of merit, where the points were evaluated, with its interval: of the float
        model, the compressed one, the model that it is judged against, and their differences, in columns
        named after it (``auc``, ``energy_resolution``, ``angular_resolution``). Lookup tables and mismatches
        where the points were synthesized or verified.
    """
    table = []
    for point, run in finished(sweep, grid, directory):
        model = _read(run, layout.MODEL_SUMMARY, MODEL_SUMMARY) or ModelSummary()
        row: Row = {"point": point.index, **point.values}
        evaluation = _read(run, layout.EVALUATION, EVALUATION)
        if evaluation is not None:
            row |= _worth(evaluation, HEADLINES[point.config.task][0])
        row |= {
            "sparsity_reached": model.compressed.sparsity,
            "weights": model.compressed.weights,
            "nonzero_weights": model.compressed.nonzero_weights,
            "size_bytes": model.compressed.bytes.packed,
            "size_float_bytes": model.float.bytes.dense,
        }
        if evaluation is not None:
            row["test_events"] = evaluation.events.used
        if cost := firmware_figure(_read(run, layout.RESOURCES, RESOURCES) or Resources()):
            row |= {"lut": cost[0].lut, "lut_source": cost[0].source}
        verification = _read(run, layout.VERIFICATION, VERIFICATION)
        if verification is not None and verification.backends:
            row["mismatches"] = sum(found.mismatches for found in verification.backends.values())
        table.append(row)
    return table


def _read[T](run: RunDirectory, name: Path, kind: Kind[T]) -> T | None:
    """A document that a stage left; None where the stage is not done."""
    return read(run.path / name, kind) if is_done_until(run, kind.stage) else None


def _worth(evaluation: Evaluation, metric: str) -> Row:
    """Columns of a figure of merit."""
    values = evaluation.pair().metrics[metric]
    row: Row = {}
    sides = {
        f"{metric}_float": values.reference,
        metric: values.model,
        f"{metric}_difference": values.difference,
    }
    for name, found in sides.items():
        row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    judged = against_reference(evaluation, metric)
    assert judged is not None
    row["reference"] = judged.against
    for key in ("value", "low", "high"):
        suffix = "" if key == "value" else f"_{key}"
        row[f"{metric}_reference{suffix}"] = getattr(judged.reference, key)
        row[f"{metric}_against_reference{suffix}"] = getattr(judged.difference, key)
    fair = evaluation.fair_reference
    row["plateau"] = None if fair is None else fair.plateau
    return row


def _write_csv(table: list[Row], path: Path) -> None:
    text = io.StringIO()
    # points that differ in what was measured of them have all the columns
    names = list(dict.fromkeys(name for row in table for name in row))
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_text(path, text.getvalue())


def _mean(group: list[Row], key: str) -> float:
    return float(np.mean([row[key] for row in group]))


def _grouped(table: list[Row], keys: list[str]) -> dict[tuple[str, ...], list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in table:
        # a swept value may be a list, as a model's stages are
        groups.setdefault(tuple(str(row[key]) for key in keys), []).append(row)
    return groups


def curves(table: list[Row], keys: list[str]) -> dict[tuple[str, ...], list[list[Row]]]:
    """Curves against sparsity; rows that differ in nothing but their seed are one point of a curve.

    Parameters
    ----------
    table : list of dict
        See `rows`.
    keys : list of str
        The swept keys.

    Returns
    -------
    dict
        By the swept values but sparsity and seed: the curve's points, each the rows of its trainings.
    """
    others = [key for key in keys if key not in (SPARSITY, SEED)]
    swept = [SPARSITY] if SPARSITY in keys else []
    return {
        values: list(_grouped(group, swept).values()) for values, group in _grouped(table, others).items()
    }


def _draw(
    axes: Axes, table: list[Row], keys: list[str], metric: str, x: str, label: str, scale: float
) -> None:
    measured = [scale * row[x] for row in table]
    span = float(np.ptp(measured)) or measured[0]
    for number, (values, points) in enumerate(curves(table, keys).items()):
        colour = COLOURS[number % len(COLOURS)]
        # curves that share a point would hide each other's intervals
        aside = 0.008 * span * number
        ordered = sorted(points, key=lambda trainings: _mean(trainings, x))
        middle = np.array([_mean(trainings, metric) for trainings in ordered])
        # all trainings are judged on the same events: more of them do not narrow the interval
        below = middle - [_mean(trainings, f"{metric}_low") for trainings in ordered]
        above = [_mean(trainings, f"{metric}_high") for trainings in ordered] - middle
        axes.errorbar(
            [scale * _mean(trainings, x) + aside for trainings in ordered],
            middle,
            yerr=[below, above],
            marker="os^Dvp"[number % 6],
            markersize=5,
            capsize=3,
            linewidth=1.4,
            color=colour,
            label=", ".join(values) or None,
        )
        if SEED in keys:
            axes.plot(
                [scale * row[x] + aside for trainings in ordered for row in trainings],
                [row[metric] for trainings in ordered for row in trainings],
                linestyle="none",
                marker=".",
                markersize=5,
                color=colour,
                alpha=0.5,
            )
    # controls differ where the points' trainings do
    names = {REFERENCES[row["reference"]].removeprefix("the ") for row in table}
    label_of = " or ".join(sorted(names))
    axes.axhline(
        _mean(table, f"{metric}_reference"), color="0.35", linestyle="--", linewidth=1.2, label=label_of
    )
    axes.axhspan(
        _mean(table, f"{metric}_reference_low"),
        _mean(table, f"{metric}_reference_high"),
        color="0.35",
        alpha=0.12,
        linewidth=0,
    )
    axes.set_xlabel(label)
    axes.grid(alpha=0.25)


def _write_figure(table: list[Row], keys: list[str], metric: str, path: Path) -> None:
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, table, keys, metric, "sparsity_reached", "sparsity of the weights (%)", 100.0)
    _draw(right, table, keys, metric, "size_bytes", "model size, non-zero weights packed (kB)", 1e-3)
    quantity = QUANTITIES[metric]
    unit = f" ({quantity.unit})" if quantity.unit else ""
    left.set_ylabel(f"{quantity.label}{unit}, with 68 % interval")
    # with the sparsity a model becomes worse: the corner beside its good end is free
    lower = quantity.better == "higher"
    left.legend(loc="lower left" if lower else "upper left", frameon=False)
    right.invert_xaxis()
    title = f"{table[0]['test_events']} test events, the same for all points"
    if SEED in keys:
        title += "; small dots: single trainings, which differ by their seed"
    figure.suptitle(title, fontsize=10)
    for suffix in (".png", ".pdf"):
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=160, format=suffix[1:])
        write_bytes(path.with_suffix(suffix), drawn.getvalue())


def write_summary(sweep: SweepConfig, grid: list[Point], directory: Path) -> tuple[Path, Path | None]:
    """Write ``sweep.csv``, and the figure of the task's figure of merit against sparsity and size.

    Returns
    -------
    table : Path
    figure : Path or None
        None where the points end before they are evaluated, or where their tasks differ.

    Raises
    ------
    InputError
        If no point is finished.
    """
    table = rows(sweep, grid, directory)
    if not table:
        raise InputError(
            str(directory), "no point of the sweep is finished", "See failure.json in the points' folders"
        )
    _write_csv(table, directory / "sweep.csv")
    metrics = {HEADLINES[point.config.task][0] for point in grid}
    metric = metrics.pop()
    if metrics or any(metric not in row for row in table):
        return directory / "sweep.csv", None
    _write_figure(table, list(sweep.grid), metric, directory / "sweep.png")
    return directory / "sweep.csv", directory / "sweep.png"

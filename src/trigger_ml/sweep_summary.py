"""What a sweep found: one table and one figure."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trigger_ml.core.errors import InputError
from trigger_ml.core.files import write_bytes, write_text
from trigger_ml.evaluation.reference import REFERENCES, against_reference
from trigger_ml.sweep import Point, SweepConfig, finished

__all__ = ["curves", "rows", "write_summary"]

# Okabe and Ito's colour-blind safe palette
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
SPARSITY = "compression.pruning.sparsity"
SEED = "compression.seed"
type Row = dict[str, Any]


def rows(grid: list[Point], directory: Path) -> list[Row]:
    """One row for each finished point: its values, AUC with interval, sparsity reached, sizes.

    Parameters
    ----------
    grid : list of Point
    directory : Path
        The sweep's folder.
    """
    table = []
    for point, run in finished(grid, directory):
        evaluation = json.loads((run.path / "evaluation.json").read_text())
        model = json.loads((run.path / "model" / "model.json").read_text())
        auc = evaluation["metrics"]["auc"]
        row: Row = {"point": point.index, **point.values}
        for side in ("float", "compressed", "difference"):
            name = {"float": "auc_float", "compressed": "auc", "difference": "auc_difference"}[side]
            row |= {
                name: auc[side]["value"],
                f"{name}_low": auc[side]["low"],
                f"{name}_high": auc[side]["high"],
            }
        found = against_reference(evaluation, "auc")
        assert found is not None
        row["reference"] = found["reference"]
        for key in ("value", "low", "high"):
            suffix = "" if key == "value" else f"_{key}"
            row[f"auc_reference{suffix}"] = found["float"][key]
            row[f"auc_against_reference{suffix}"] = found["difference"][key]
        row["plateau"] = evaluation.get("reference", {}).get("plateau")
        row |= {
            "sparsity_reached": model["compressed"]["sparsity"],
            "weights": model["compressed"]["weights"],
            "nonzero_weights": model["compressed"]["nonzero_weights"],
            "size_bytes": model["compressed"]["bytes"]["packed"],
            "size_float_bytes": model["float"]["bytes"]["dense"],
            "test_events": evaluation["events"]["used"],
        }
        table.append(row)
    return table


def _write_csv(table: list[Row], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(table[0]), lineterminator="\n")
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


def _draw(axes: Axes, table: list[Row], keys: list[str], x: str, label: str, scale: float) -> None:
    measured = [scale * row[x] for row in table]
    span = float(np.ptp(measured)) or measured[0]
    for number, (values, points) in enumerate(curves(table, keys).items()):
        colour = COLOURS[number % len(COLOURS)]
        # curves that share a point would hide each other's intervals
        aside = 0.008 * span * number
        ordered = sorted(points, key=lambda trainings: _mean(trainings, x))
        middle = np.array([_mean(trainings, "auc") for trainings in ordered])
        # all trainings are judged on the same events: more of them do not narrow the interval
        below = middle - [_mean(trainings, "auc_low") for trainings in ordered]
        above = [_mean(trainings, "auc_high") for trainings in ordered] - middle
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
                [row["auc"] for trainings in ordered for row in trainings],
                linestyle="none",
                marker=".",
                markersize=5,
                color=colour,
                alpha=0.5,
            )
    # controls differ where the points' trainings do
    names = {REFERENCES[row["reference"]].removeprefix("the ") for row in table}
    label_of = " or ".join(sorted(names))
    axes.axhline(_mean(table, "auc_reference"), color="0.35", linestyle="--", linewidth=1.2, label=label_of)
    axes.axhspan(
        _mean(table, "auc_reference_low"),
        _mean(table, "auc_reference_high"),
        color="0.35",
        alpha=0.12,
        linewidth=0,
    )
    axes.set_xlabel(label)
    axes.grid(alpha=0.25)


def _write_figure(table: list[Row], keys: list[str], path: Path) -> None:
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, table, keys, "sparsity_reached", "sparsity of the weights (%)", 100.0)
    _draw(right, table, keys, "size_bytes", "model size, non-zero weights packed (kB)", 1e-3)
    left.set_ylabel("AUC, with 68 % interval")
    left.legend(loc="lower left", frameon=False)
    right.invert_xaxis()
    title = f"{table[0]['test_events']} test events, the same for all points"
    if SEED in keys:
        title += "; small dots: single trainings, which differ by their seed"
    figure.suptitle(title, fontsize=10)
    for suffix in (".png", ".pdf"):
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=160, format=suffix[1:])
        write_bytes(path.with_suffix(suffix), drawn.getvalue())


def write_summary(sweep: SweepConfig, grid: list[Point], directory: Path) -> tuple[Path, Path]:
    """Write ``sweep.csv`` and the figure of AUC against sparsity and size.

    Returns
    -------
    table, figure : Path

    Raises
    ------
    InputError
        If no point is finished.
    """
    table = rows(grid, directory)
    if not table:
        raise InputError(
            str(directory), "no point of the sweep is finished", "See failure.json in the points' folders"
        )
    _write_csv(table, directory / "sweep.csv")
    _write_figure(table, list(sweep.grid), directory / "sweep.png")
    return directory / "sweep.csv", directory / "sweep.png"

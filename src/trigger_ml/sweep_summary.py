"""What a sweep found: one table and one figure."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trigger_ml.core.errors import InputError
from trigger_ml.core.files import atomic_path, write_text
from trigger_ml.sweep import Point, SweepConfig, finished

__all__ = ["rows", "write_summary"]

# Okabe and Ito's colour-blind safe palette
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
SPARSITY = "compression.pruning.sparsity"


def rows(grid: list[Point], directory: Path) -> list[dict[str, Any]]:
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
        row: dict[str, Any] = {"point": point.index, **point.values}
        for side in ("float", "compressed", "difference"):
            name = {"float": "auc_float", "compressed": "auc", "difference": "auc_difference"}[side]
            row |= {
                name: auc[side]["value"],
                f"{name}_low": auc[side]["low"],
                f"{name}_high": auc[side]["high"],
            }
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


def _write_csv(table: list[dict[str, Any]], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_text(path, text.getvalue())


def _curves(table: list[dict[str, Any]], keys: list[str]) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Rows grouped by all swept values but the sparsity."""
    others = [key for key in keys if key != SPARSITY]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in table:
        groups.setdefault(tuple(row[key] for key in others), []).append(row)
    return groups


def _draw(axes: Axes, table: list[dict[str, Any]], keys: list[str], x: str, label: str, scale: float) -> None:
    for number, (values, group) in enumerate(_curves(table, keys).items()):
        ordered = sorted(group, key=lambda row: float(row[x]))
        middle = [row["auc"] for row in ordered]
        below = [row["auc"] - row["auc_low"] for row in ordered]
        above = [row["auc_high"] - row["auc"] for row in ordered]
        axes.errorbar(
            # curves that share a point would hide each other's intervals
            [float(row[x]) * scale * (1 + 0.004 * number) for row in ordered],
            middle,
            yerr=[below, above],
            marker="os^Dvp"[number % 6],
            markersize=5,
            capsize=3,
            linewidth=1.4,
            color=COLOURS[number % len(COLOURS)],
            label=", ".join(map(str, values)) or None,
        )
    reference = table[0]
    axes.axhline(reference["auc_float"], color="0.35", linestyle="--", linewidth=1.2, label="float model")
    axes.axhspan(
        reference["auc_float_low"], reference["auc_float_high"], color="0.35", alpha=0.12, linewidth=0
    )
    axes.set_xlabel(label)
    axes.grid(alpha=0.25)


def _write_figure(table: list[dict[str, Any]], keys: list[str], path: Path) -> None:
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, table, keys, "sparsity_reached", "sparsity of the weights (%)", 100.0)
    _draw(right, table, keys, "size_bytes", "model size, non-zero weights packed (kB)", 1e-3)
    left.set_ylabel("AUC, with 68 % interval")
    left.legend(loc="lower left", frameon=False)
    right.invert_xaxis()
    figure.suptitle(f"{table[0]['test_events']} test events, the same for all points", fontsize=10)
    for suffix in (".png", ".pdf"):
        with atomic_path(path.with_suffix(suffix)) as partial:
            figure.savefig(partial, dpi=160)


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

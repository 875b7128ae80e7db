"""The table of a comparison: one row for each run, to be sorted by any column."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trigger_ml.core.documents.estimates import Estimate
from trigger_ml.evaluation.reference import against_reference
from trigger_ml.report import formatting
from trigger_ml.report.compared import Run, quantities_of, quantity_of, resource_of
from trigger_ml.report.facts import HEADLINES, PERCENTAGES

__all__ = ["Cell", "Column", "Row", "table_of"]


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


@dataclass(frozen=True)
class Row:
    """A row of the table; ``link`` leads to the run's report, where it has one."""

    name: str
    cells: list[Cell]
    link: str


def _metric_cell(run: Run, name: str) -> Cell:
    found = run.metrics.get(name)
    if found is None or found.model.value is None:
        return Cell(formatting.DASH)
    scale = 100.0 if name in PERCENTAGES else 1.0
    reference = found.reference.value
    return Cell(
        formatting.interval(found.model, scale),
        found.model.value * scale,
        f"float {formatting.number(reference * scale, 4)}" if reference is not None else "",
    )


def _width(found: Estimate) -> float | None:
    return None if found.low is None or found.high is None else found.high - found.low


def _difference_cell(run: Run, other: Run, name: str) -> Cell:
    """Difference of the compressed models of two runs, intervals in quadrature."""
    if name not in run.metrics or name not in other.metrics:
        return Cell(formatting.DASH)
    mine, theirs = run.metrics[name].model, other.metrics[name].model
    widths = [_width(part) for part in (mine, theirs)]
    if mine.value is None or theirs.value is None:
        return Cell(formatting.DASH)
    known = [width for width in widths if width is not None]
    if len(known) < 2:
        return Cell(formatting.DASH)
    if run is other:
        return Cell("reference", 0.0)
    scale = 100.0 if name in PERCENTAGES else 1.0
    change = mine.value - theirs.value
    half = math.hypot(*(0.5 * width for width in known))
    found = Estimate(change, change - half, change + half)
    return Cell(formatting.interval(found, scale, True), change * scale)


def _plain(value: float | None, show: Callable[[float], str], note: str = "") -> Cell:
    return Cell(formatting.DASH) if value is None else Cell(show(value), float(value), note)


def _resource_cell(run: Run, what: Literal["lut", "latency"]) -> Cell:
    value, source = resource_of(run, what)
    return _plain(value, formatting.number, source)


def table_of(
    runs: Sequence[Run], names: Sequence[str], task: str, reference: int, output: Path
) -> tuple[list[Column], list[Row]]:
    """Columns and rows: verdicts, savings, figures of merit, and differences to the reference run's."""
    quantities = quantities_of(runs, task)
    labels = {name: quantity_of(runs, name) for name in quantities}
    head = [name for name in HEADLINES[task] if name in quantities]

    def heading(name: str) -> str:
        unit = labels[name].unit or ("%" if name in PERCENTAGES else "")
        return f"{labels[name].label} ({unit})" if unit else labels[name].label

    columns = [Column("Run", False)]
    columns += [Column(f"{labels[name].label}: verdict", False) for name in head]
    columns += [Column("Sparsity (%)"), Column("Size packed"), Column("LUT"), Column("Latency (clocks)")]
    columns += [Column(heading(name)) for name in quantities]
    columns += [Column(f"Δ {heading(name)}") for name in head]
    rows = []
    for run, name in zip(runs, names, strict=True):
        cells = [Cell(name, name)]
        for quantity in head:
            found = against_reference(run.evaluation, quantity)
            if found is None:
                cells.append(Cell(formatting.DASH))
                continue
            value = found.ratio.value
            cells.append(Cell(found.verdict, "" if value is None else value, "", found.state))
        sparsity = run.size("sparsity")
        cells += [
            _plain(None if sparsity is None else 100 * sparsity, formatting.number),
            _plain(run.size("packed"), formatting.bytes_),
            _resource_cell(run, "lut"),
            _resource_cell(run, "latency"),
        ]
        cells += [_metric_cell(run, quantity) for quantity in quantities]
        cells += [_difference_cell(run, runs[reference], quantity) for quantity in head]
        report = run.content.path / "report.html"
        link = os.path.relpath(report, output.parent) if report.is_file() else ""
        rows.append(Row(name, cells, link))
    return columns, rows

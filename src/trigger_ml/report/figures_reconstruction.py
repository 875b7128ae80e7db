"""Figures of the regression tasks: energy and direction."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from trigger_ml.core.documents.details import Cells, ModelDetails
from trigger_ml.core.documents.estimates import Estimate
from trigger_ml.core.documents.evaluation import COMPRESSED, FLOAT, Cuts, Evaluation
from trigger_ml.report.plots import (
    FloatArray,
    Outline,
    column,
    energy_axis,
    interval_points,
    model_styles,
    of_models,
    per_energy,
    staircase,
)
from trigger_ml.report.reference import Curve
from trigger_ml.report.spec import Spec
from trigger_ml.report.style import Palette, figure

__all__ = ["migration", "reconstruction_specs"]

MODELS = (FLOAT, COMPRESSED)


def _edges(evaluation: Evaluation) -> FloatArray:
    return np.asarray(evaluation.energy_bins.edges, dtype=np.float64)


def resolution(evaluation: Evaluation, palette: Palette, name: str, curves: Sequence[Curve]) -> Figure:
    """Resolution of both models against true energy."""
    quantity = evaluation.quantities[name]
    drawing = figure()
    axes = drawing.subplots()
    per_energy(axes, evaluation, name, palette)
    axes.set_ylabel(quantity.label + (f" ({quantity.unit})" if quantity.unit else ""))
    if name == "energy_resolution":
        edges = _edges(evaluation)
        for model, style in model_styles(palette).items():
            width = column(of_models(evaluation.pair().bins["energy_gauss_width"])[model], "value")
            label = f"{model}, Gaussian fit"
            axes.plot(np.sqrt(edges[:-1] * edges[1:]), width, ":", color=style["color"], lw=1.3, label=label)
    for curve in curves:
        known = np.isfinite(curve.value)
        axes.plot(
            curve.energy[known],
            curve.value[known],
            color=palette.reference,
            linestyle="-.",
            label=curve.label,
        )
        axes.fill_between(curve.energy, curve.low, curve.high, color=palette.reference, alpha=0.15, lw=0)
    rows = [part for row in evaluation.pair().bins[name] for part in (row.reference, row.model)]
    ours = column(rows, "high")
    if np.isfinite(ours).any():
        # the reference may reach energies at which it is useless
        axes.set_ylim(0, 1.6 * np.nanmax(ours))
        _cut_outliers(axes, rows)
    if not quantity.unit:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(loc="best")
    return drawing


def _cut_outliers(axes: Axes, rows: Sequence[Estimate]) -> None:
    """End the axis where one wild bin (a few absurd answers move a mean far) would flatten all others."""
    ends = np.r_[[column(rows, "low"), column(rows, "value"), column(rows, "high")]].ravel()
    size = np.abs(ends[np.isfinite(ends)])
    if len(size) and size.max() > 8 * np.median(size) > 0:
        limit = 4 * np.median(size)
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -limit), min(high, limit))
        axes.annotate("axis cut", (1, 1), xycoords="axes fraction", ha="right", va="top", fontsize=8)


def bias_and_spread(evaluation: Evaluation, palette: Palette, names: tuple[tuple[str, str], ...]) -> Figure:
    """Bias above standard deviation, against true energy; one column for each coordinate."""
    edges = _edges(evaluation)
    drawing = figure(5.4, 4.6)
    grid = drawing.subplots(2, len(names), sharex=True, squeeze=False)
    for col, pair in enumerate(names):
        for row, name in enumerate(pair):
            axes, rows = grid[row, col], evaluation.pair().bins[name]
            for (model, style), shift in zip(model_styles(palette).items(), (-0.1, 0.1), strict=True):
                interval_points(axes, edges, of_models(rows)[model], shift, **style)
            _cut_outliers(axes, [part for row_ in rows for part in (row_.reference, row_.model)])
            energy_axis(axes, list(edges), "True energy (TeV)" if row else "")
            if row == 0:
                axes.axhline(0, color=palette.muted, linewidth=0.9)
            label = evaluation.quantities[name].label
            axes.set_title(label, loc="left", fontsize=9.5)
            if not evaluation.quantities[name].unit:
                axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    if evaluation.quantities[names[0][0]].unit:
        drawing.supylabel("degrees", fontsize=10.5)
    grid[0, 0].legend()
    return drawing


def reconstructed(evaluation: Evaluation, palette: Palette) -> Figure:
    """Bias and resolution against reconstructed energy."""
    edges = _edges(evaluation)
    models = evaluation.details.models
    drawing = figure(5.4, 4.6)
    top, bottom = drawing.subplots(2, 1, sharex=True)
    pairs = ((top, "energy_bias", "Bias (median)"), (bottom, "energy_resolution", "Resolution (68 %)"))
    for axes, name, label in pairs:
        for (model, style), shift in zip(model_styles(palette).items(), (-0.1, 0.1), strict=True):
            interval_points(axes, edges, models[model].reconstructed[name], shift, **style)
        energy_axis(axes, list(edges), "Reconstructed energy (TeV)" if axes is bottom else "")
        axes.set_ylabel(label)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    top.axhline(0, color=palette.muted, linewidth=0.9)
    top.legend()
    return drawing


def _maps(cells: Mapping[str, Cells], palette: Palette, *, transposed: bool) -> tuple[Figure, list[Axes]]:
    """Two panels with event densities on one colour scale."""
    drawing = figure(5.4, 3.0)
    grid = list(drawing.subplots(1, 2, sharex=True, sharey=True))
    top = max(np.max(cells[name].events) for name in MODELS)
    mesh = None
    for axes, name in zip(grid, MODELS, strict=True):
        content = np.asarray(cells[name].events, dtype=np.float64)
        edges = np.asarray(cells[name].edges)
        values = content.T if transposed else content
        mesh = axes.pcolormesh(
            edges,
            edges,
            np.where(values > 0, values, np.nan),
            norm=LogNorm(1, max(top, 2)),
            cmap=palette.colormap,
            rasterized=True,
        )
        axes.set_title(name)
        axes.set_aspect("equal")
    assert mesh is not None
    bar = drawing.colorbar(mesh, ax=grid, shrink=0.9, pad=0.02)
    bar.set_label("Events", color=palette.ink)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    return drawing, grid


def migration(models: Mapping[str, ModelDetails] | Mapping[str, Cuts], palette: Palette) -> Figure:
    """Reconstructed against true energy."""
    found = {name: model.migration for name, model in models.items() if model.migration is not None}
    # the migration matrix has truth in its rows: truth along x
    drawing, grid = _maps(found, palette, transposed=True)
    edges = found[FLOAT].edges
    for axes in grid:
        energy_axis(axes, edges)
        axes.set_yscale("log")
        axes.set_ylim(edges[0], edges[-1])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.plot(edges[:: len(edges) - 1], edges[:: len(edges) - 1], color=palette.muted, linewidth=1)
    grid[0].set_ylabel("Reconstructed energy (TeV)")
    return drawing


def reconstructed_distribution(evaluation: Evaluation, palette: Palette) -> Figure:
    """Reconstructed energies of gammas and hadrons, beside the true ones."""
    details, edges = evaluation.details, list(_edges(evaluation))
    assert details.energy_distribution is not None
    assert details.reconstructed_distribution is not None
    drawing = figure(5.4, 4.4)
    grid = drawing.subplots(2, 1, sharex=True)
    for axes, name, color in zip(grid, ("gamma", "hadron"), (palette.gamma, palette.hadron), strict=True):
        true = details.energy_distribution[name]
        axes.stairs(true, edges, fill=True, color=color, alpha=0.25, label=f"{name}, true")
        for model, style in model_styles(palette).items():
            counts = details.reconstructed_distribution[model][name]
            line = Outline(color=style["color"], linestyle=style["linestyle"], linewidth=1.5, label=model)
            staircase(axes, edges, counts, **line)
        energy_axis(axes, edges, "Energy (TeV)" if axes is grid[-1] else "")
        axes.set_ylabel("Events in the bin")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8.5)
    return drawing


def containment(evaluation: Evaluation, palette: Palette) -> Figure:
    """Fraction of events within an angle of the truth."""
    models = evaluation.details.models
    drawing = figure()
    axes = drawing.subplots()
    for name, style in model_styles(palette).items():
        curve = models[name].containment
        assert curve is not None
        rows = curve.fraction
        axes.fill_between(
            curve.angle, column(rows, "low"), column(rows, "high"), color=style["color"], alpha=0.2, lw=0
        )
        axes.plot(
            curve.angle,
            column(rows, "value"),
            color=style["color"],
            linestyle=style["linestyle"],
            label=name,
        )
    axes.axhline(0.68, color=palette.muted, linestyle=":", linewidth=0.9)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("Angle from the true direction (deg)")
    axes.set_ylabel("Events within the angle")
    axes.legend(loc="lower right")
    return drawing


def density(evaluation: Evaluation, palette: Palette) -> Figure:
    """Reconstructed directions around the pointing."""
    models = evaluation.details.models
    cells = {name: model.density for name, model in models.items() if model.density is not None}
    drawing, grid = _maps(cells, palette, transposed=False)
    for axes in grid:
        axes.plot(0, 0, marker="+", markersize=11, markeredgewidth=1.8, color=palette.compressed)
        axes.set_xlabel("Along azimuth (deg)")
    grid[0].set_ylabel("Along altitude (deg)")
    return drawing


def reconstruction_specs(evaluation: Evaluation, bars: str, references: Sequence[Curve] = ()) -> list[Spec]:
    """The figures of an energy or direction run."""
    result: list[Spec] = []
    task, details = evaluation.task, evaluation.details

    def add(name: str, title: str, caption: str, make: Callable[[Evaluation, Palette], Figure]) -> None:
        result.append(Spec(name, task, title, caption, partial(make, evaluation)))

    main = {"energy": "energy_resolution", "direction": "angular_resolution"}[task]
    curves = [curve for curve in references if curve.quantity == main]
    notes = "".join(f" Reference {curve.label}: {curve.assumption}." for curve in curves)
    if task == "energy":
        add(
            "energy_resolution",
            "Energy resolution",
            bars + notes,
            partial(resolution, name=main, curves=curves),
        )
        add(
            "energy_bias",
            "Bias and standard deviation",
            f"Of the relative error, mean and standard deviation in bins of true energy. {bars}",
            partial(bias_and_spread, names=(("energy_mean_bias", "energy_std"),)),
        )
        if details.models:
            add(
                "migration",
                "Migration matrix",
                "Events in cells of true and reconstructed energy; the line is the perfect answer.",
                lambda found, palette: migration(found.details.models, palette),
            )
            if details.reconstructed_distribution is not None:
                add(
                    "energy_by_class",
                    "Reconstructed energies by class",
                    "Energies of all test events; hadrons are reconstructed as if they were gammas.",
                    reconstructed_distribution,
                )
            add(
                "energy_reconstructed",
                "Bias and resolution by reconstructed energy",
                f"What an observer sees, who does not know the truth. {bars}",
                reconstructed,
            )
    else:
        add(
            "angular_resolution",
            "Angular resolution",
            bars + notes,
            partial(resolution, name=main, curves=curves),
        )
        add(
            "direction_bias",
            "Bias and standard deviation of both coordinates",
            f"In bins of true energy. {bars}",
            partial(
                bias_and_spread,
                names=(("azimuth_bias", "azimuth_std"), ("altitude_bias", "altitude_std")),
            ),
        )
        if details.models:
            add(
                "containment",
                "Containment",
                "Fraction of events reconstructed within an angle; the dotted line is 68 %.",
                containment,
            )
            add(
                "direction_density",
                "Reconstructed directions around the pointing",
                "Gammas; the cross is the pointing.",
                density,
            )
    return result

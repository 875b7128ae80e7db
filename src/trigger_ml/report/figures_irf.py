"""Figures of the instrument response: sensitivity, effective area, background, dispersion, cuts."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.special import expit

from trigger_ml.core.documents.evaluation import Evaluation, Response
from trigger_ml.report.figures_reconstruction import migration
from trigger_ml.report.plots import (
    Outline,
    energy_axis,
    interval_points,
    logarithmic,
    model_styles,
    of_both,
    of_models,
    staircase,
    tame,
)
from trigger_ml.report.published import PUBLISHED_SENSITIVITY
from trigger_ml.report.reference import Curve
from trigger_ml.report.spec import Spec
from trigger_ml.report.style import Palette, figure

__all__ = ["irf_specs"]

TITLES = {
    "sensitivity": ("Differential sensitivity", "Lower is better."),
    "effective_area": ("Effective area", "After the cuts of each energy bin."),
    "background_rate": ("Background rate", "After the gammaness cut, in each energy bin."),
    "angular_resolution": (
        "Angular resolution",
        "68 % containment of the gammas that pass the gammaness cut.",
    ),
    "energy_resolution": (
        "Energy resolution",
        "Half the central 68 % of the relative error of the gammas that pass the gammaness cut.",
    ),
    "energy_bias": ("Energy bias", "Median relative error of the same gammas."),
}
ENERGIES = {
    "true": "True energy",
    "light": "Energy of a gamma of equal light",
    "reconstructed": "Reconstructed energy",
}
BY_TRUE_ENERGY = ("effective_area", "angular_resolution", "energy_resolution", "energy_bias")


def _energy_label(by: str) -> str:
    return f"{ENERGIES[by]} (TeV)"


def response(
    evaluation: Evaluation, irf: Response, palette: Palette, name: str, curves: Sequence[Curve]
) -> Figure:
    """A response of both models against energy, above its ratio (of a bias: its difference).

    Published curves lie behind it.
    """
    edges = np.asarray(evaluation.energy_bins.edges, dtype=np.float64)
    rows, quantity = evaluation.response().bins[name], evaluation.quantities[name]
    label_of_energy = _energy_label("true" if name in BY_TRUE_ENERGY else irf.energy)
    is_bias = quantity.better == "zero"
    is_steep = name in ("effective_area", "background_rate", "sensitivity")
    drawing = figure(5.4, 4.8)
    top, bottom = drawing.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    for (model, style), shift in zip(model_styles(palette).items(), (-0.1, 0.1), strict=True):
        interval_points(top, edges, of_models(rows)[model], shift, positive=is_steep, **style)
    for number, curve in enumerate(curves):
        known = np.isfinite(curve.value)
        # only where ours has bins: beyond, the reference would set the range
        known &= (curve.energy >= edges[0]) & (curve.energy <= edges[-1])
        top.plot(
            curve.energy[known],
            curve.value[known],
            color=palette.reference,
            linestyle=("-.", ":", (0, (5, 1)))[number % 3],
            label=curve.label if len(curve.label) < 34 else curve.label[:15] + "…" + curve.label[-16:],
        )
        if np.isfinite(curve.low).any():
            inner = (curve.energy[known], curve.low[known], curve.high[known])
            top.fill_between(*inner, color=palette.reference, alpha=0.15, lw=0)
    what: Literal["difference", "ratio"] = "difference" if is_bias else "ratio"
    interval_points(
        bottom, edges, of_both(rows, what), color=palette.compressed, marker="s", linestyle="none"
    )
    tame(bottom, rows, what)
    bottom.axhline(0.0 if is_bias else 1.0, color=palette.float_model, linewidth=1.2)
    values = [part.value for row in rows for part in (row.reference, row.model)]
    if is_steep:
        if any(v for v in values if v is not None and v > 0):
            logarithmic(top)
    elif is_bias:
        top.axhline(0, color=palette.muted, linewidth=0.9)
    else:
        top.set_ylim(bottom=0)
    energy_axis(top, list(edges), "")
    energy_axis(bottom, list(edges), label_of_energy)
    label = quantity.label
    if quantity.unit:
        label += f" ({quantity.unit})"
    else:
        top.yaxis.set_major_formatter(PercentFormatter(1.0))
    top.set_ylabel(label)
    bottom.set_ylabel("compr. − float" if is_bias else "compr. / float")
    if is_bias:
        bottom.yaxis.set_major_formatter(PercentFormatter(1.0))
    top.legend(fontsize=8.5)
    return drawing


def cuts(evaluation: Evaluation, irf: Response, palette: Palette) -> Figure:
    """The gammaness cut and, where directions are reconstructed, the angular cut of each energy bin."""
    edges = np.asarray(evaluation.energy_bins.edges, dtype=np.float64)
    models = irf.models
    reconstructed = irf.level == "reconstructed"
    drawing = figure(5.4, 4.4 if reconstructed else 3.2)
    grid = drawing.subplots(2 if reconstructed else 1, 1, sharex=True, squeeze=False)[:, 0]
    for model, style in model_styles(palette).items():
        line = Outline(color=style["color"], linestyle=style["linestyle"], label=model, linewidth=1.6)
        staircase(grid[0], list(edges), expit(np.asarray(models[model].score_cut)), **line)
        if reconstructed:
            staircase(grid[1], list(edges), models[model].theta_cut, **line)
    grid[0].set_ylabel("Least gammaness")
    grid[0].set_ylim(0, 1)
    if reconstructed:
        grid[1].set_ylabel("Largest angle (deg)")
        grid[1].set_ylim(bottom=0)
    for axes in grid:
        last = axes is grid[-1]
        energy_axis(axes, list(edges), _energy_label(irf.energy) if last else "")
    grid[0].legend()
    return drawing


def irf_specs(evaluation: Evaluation, bars: str, references: Sequence[Curve] = ()) -> list[Spec]:
    """The response figures of a run."""
    irf = evaluation.irf
    if irf is None or not irf.models:
        return []
    result = []
    present = evaluation.response().bins
    for name, (title, caption) in TITLES.items():
        if name not in present:
            continue
        curves = [curve for curve in references if curve.quantity == name]
        if not curves and name == PUBLISHED_SENSITIVITY.quantity:
            curves = [PUBLISHED_SENSITIVITY]
        notes = " ".join(f"Reference {curve.label}: {curve.assumption}." for curve in curves)

        def make(palette: Palette, name: str = name, curves: list[Curve] = curves) -> Figure:
            return response(evaluation, irf, palette, name, curves)

        result.append(Spec(name, "irf", title, f"{caption} {bars} {notes}".strip(), make))
    if irf.level == "reconstructed":
        result.append(
            Spec(
                "dispersion",
                "irf",
                "Energy dispersion",
                "Gammas that pass the gammaness cut; the line is the perfect answer.",
                lambda palette: migration(irf.models, palette),
            )
        )
    result.append(
        Spec(
            "cuts",
            "irf",
            "Cuts of each energy bin",
            "Held fixed in the resamples; a bin with too few gammas has the cut of all energies.",
            lambda p: cuts(evaluation, irf, p),
        )
    )
    return result

"""Figures of the instrument response: effective area, background rate, sensitivity."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from trigger_ml.report.content import RunContent
from trigger_ml.report.plots import energy_axis, interval_points, logarithmic, model_styles
from trigger_ml.report.reference import Curve
from trigger_ml.report.spec import Spec
from trigger_ml.report.style import Palette, figure

__all__ = ["irf_specs"]

TITLES = {
    "effective_area": ("Effective area", "After the gammaness cut of each energy bin."),
    "background_rate": ("Background rate", "After the same cuts, in each energy bin."),
    "sensitivity": ("Differential sensitivity", "Lower is better."),
}


def response(content: RunContent, palette: Palette, name: str, curves: Sequence[Curve]) -> Figure:
    """A response of both models against energy, above its ratio; published curves behind it."""
    evaluation = content.evaluation
    edges = np.asarray(evaluation["energy_bins"]["edges"], dtype=np.float64)
    rows, quantity = evaluation["irf"]["bins"][name], evaluation["quantities"][name]
    kind = "True" if name == "effective_area" else evaluation["irf"]["energy"].capitalize()
    drawing = figure(5.4, 4.8)
    top, bottom = drawing.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    for (model, style), shift in zip(model_styles(palette).items(), (-0.1, 0.1), strict=True):
        interval_points(top, edges, [row[model] for row in rows], shift, **style)
    for number, curve in enumerate(curves):
        known = np.isfinite(curve.value)
        top.plot(
            curve.energy[known],
            curve.value[known],
            color=palette.reference,
            linestyle=("-.", ":", (0, (5, 1)))[number % 3],
            label=curve.label if len(curve.label) < 34 else curve.label[:15] + "…" + curve.label[-16:],
        )
        if np.isfinite(curve.low).any():
            top.fill_between(curve.energy, curve.low, curve.high, color=palette.reference, alpha=0.15, lw=0)
    style = {"color": palette.compressed, "marker": "s", "linestyle": "none"}
    interval_points(bottom, edges, [row["ratio"] for row in rows], **style)
    bottom.axhline(1.0, color=palette.float_model, linewidth=1.2)
    values = [row[m]["value"] for row in rows for m in ("float", "compressed")]
    if any(v for v in values if v is not None and v > 0):
        logarithmic(top)
    energy_axis(top, list(edges), "")
    energy_axis(bottom, list(edges), f"{kind} energy (TeV)")
    top.set_ylabel(f"{quantity['label']} ({quantity['unit']})")
    bottom.set_ylabel("compr. / float")
    top.legend(fontsize=8.5)
    return drawing


def irf_specs(content: RunContent, bars: str, references: Sequence[Curve] = ()) -> list[Spec]:
    """The response figures of a run."""
    result = []
    for name, (title, caption) in TITLES.items():
        curves = [curve for curve in references if curve.quantity == name]
        notes = " ".join(f"Reference {curve.label}: {curve.assumption}." for curve in curves)

        def make(palette: Palette, name: str = name, curves: list[Curve] = curves) -> Figure:
            return response(content, palette, name, curves)

        result.append(Spec(name, "irf", title, f"{caption} {bars} {notes}".strip(), make))
    return result

"""How good an energy the light of an image gives: what the bins of a trigger-level evaluation are worth."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from trigger_ml.core.documents.details import LightQuality
from trigger_ml.core.documents.evaluation import Evaluation
from trigger_ml.report.plots import Style, energy_axis, interval_points
from trigger_ml.report.spec import Spec
from trigger_ml.report.style import Palette, figure

__all__ = ["light_spec"]


def light_energy(evaluation: Evaluation, light: LightQuality, palette: Palette) -> Figure:
    """Bias and resolution of the energy from light, against true energy and against the estimate."""
    edges = np.asarray(evaluation.energy_bins.edges, dtype=np.float64)
    found = light
    drawing = figure(5.4, 4.6)
    top, bottom = drawing.subplots(2, 1, sharex=True)
    kinds = (
        (found.true, "by true energy", palette.gamma, "o", "-", -0.1),
        (found.light, "by estimated energy", palette.series[4], "s", "--", 0.1),
    )
    for axes, name, label in (
        (top, "energy_bias", "Bias (median)"),
        (bottom, "energy_resolution", "Resolution (68 %)"),
    ):
        for key, words, color, marker, line, shift in kinds:
            style = Style(color=color, marker=marker, linestyle=line, label=words)
            interval_points(axes, edges, key[name], shift, **style)
        energy_axis(axes, list(edges), "Energy (TeV)" if axes is bottom else "")
        axes.set_ylabel(label)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    top.axhline(0, color=palette.muted, linewidth=0.9)
    bottom.set_ylim(bottom=0)
    top.legend()
    return drawing


def light_spec(evaluation: Evaluation, light: LightQuality, bars: str) -> Spec:
    """The figure, with what it means in words."""
    resolution, bias = (light.overall[name].value for name in ("energy_resolution", "energy_bias"))
    return Spec(
        "light_energy",
        "events",
        "Energy from light",
        f"Gammas: over all, a bias of {bias:+.0%} (median) and a resolution of {resolution:.0%} (half the "
        "central 68 % of the relative error). One relation from the charge of the cleaned image to energy, "
        "set on the gammas of the training set, gives every particle the energy of a gamma of equal light. "
        f"{bars}",
        lambda palette: light_energy(evaluation, light, palette),
    )

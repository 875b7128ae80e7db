"""Figures of merit against the conditions of the camera, all models beside each other."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from trigger_ml.core.documents.estimates import Estimate
from trigger_ml.core.documents.evaluation import Evaluation
from trigger_ml.core.documents.robustness import Condition
from trigger_ml.report.plots import FloatArray, Style, column, energy_axis, model_styles
from trigger_ml.report.robustness import MODELS, condition_range
from trigger_ml.report.spec import Spec
from trigger_ml.report.style import Palette, figure

__all__ = ["robustness_specs"]

PANELS = {
    "auc": "AUC",
    "gamma": "Gammas kept",
    "hadron": "Hadrons kept",
    "night_sky": "Night sky accepted",
}
# from here on a condition is drawn on a logarithmic axis
WIDE = 3.0


def _styles(palette: Palette) -> dict[str, Style]:
    return {
        **model_styles(palette),
        "control": {"color": palette.series[5], "marker": "^", "linestyle": "-.", "label": MODELS["control"]},
        "trees": {"color": palette.series[4], "marker": "D", "linestyle": ":", "label": MODELS["trees"]},
    }


def _curve(axes: Axes, places: FloatArray, rows: Sequence[Estimate], style: Style) -> None:
    """A line with the band of its intervals; flagged bins are hollow."""
    value, low, high = column(rows, "value"), column(rows, "low"), column(rows, "high")
    known = np.isfinite(value)
    axes.plot(places, value, color=style["color"], linestyle=style["linestyle"], linewidth=1.2)
    axes.fill_between(places, low, high, color=style["color"], alpha=0.16, linewidth=0)
    flagged = np.array([bool(row.flag) for row in rows])
    for chosen, face in ((known & ~flagged, style["color"]), (known & flagged, axes.get_facecolor())):
        axes.plot(
            places[chosen],
            value[chosen],
            marker=style["marker"],
            color=style["color"],
            markerfacecolor=face,
            linestyle="none",
        )


def robustness(condition: Condition, palette: Palette) -> Figure:
    """AUC, acceptances and night sky accepted against one condition."""
    edges, places = condition.edges, np.asarray(condition.medians, dtype=np.float64)
    drawing = figure(5.6, 4.9)
    styles = {name: row for name, row in _styles(palette).items() if name in condition.models}
    logarithmic = edges[0] > 0 and edges[-1] / edges[0] >= WIDE
    grid = drawing.subplots(2, 2)
    for axes, (name, label) in zip(grid.flat, PANELS.items(), strict=True):
        for model, style in styles.items():
            rows: Sequence[Estimate] = condition.night_sky.get(model, ())
            if name != "night_sky":
                rows = getattr(condition.models[model], name)
            if rows:
                _curve(axes, places, rows, style)
        if logarithmic:
            energy_axis(axes, edges, "")
        else:
            axes.set_xlim(edges[0], edges[-1])
            axes.xaxis.set_major_locator(MaxNLocator(4))
        if name != "auc":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
            axes.set_ylim(bottom=0)
        axes.set_title(label)
    if not condition.night_sky:
        grid.flat[-1].set_visible(False)
    for style in styles.values():
        grid.flat[0].plot([], [], **style)
    drawing.supxlabel(f"{condition.label} ({condition.unit})", fontsize=10.5)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return drawing


def robustness_specs(evaluation: Evaluation) -> list[Spec]:
    """A figure for each condition that varies among the test events."""
    confidence = evaluation.settings.confidence
    found = {} if evaluation.robustness is None else evaluation.robustness.conditions
    result = []
    for name, condition in found.items():
        caption = (
            f"From {condition_range(condition)}; each model keeps the threshold of its operating point over "
            f"all test events. Bands are {confidence:.0%} intervals, hollow points have too few showers."
        )
        if condition.night_sky:
            caption += " Night sky: windows without a shower, not chosen by a trigger."

        def make(palette: Palette, chosen: Condition = condition) -> Figure:
            return robustness(chosen, palette)

        result.append(Spec(f"robustness_{name}", "robustness", condition.label, caption, make))
    return result

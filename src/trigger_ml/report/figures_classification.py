"""Figures of the classification task: gammas against hadrons."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from trigger_ml.core.documents.evaluation import COMPRESSED, FLOAT, Evaluation
from trigger_ml.report.plots import column, logarithmic, model_styles, per_energy, staircase
from trigger_ml.report.spec import Spec
from trigger_ml.report.style import Palette, figure

__all__ = ["classification_specs"]

BINNED = {
    "light": "Gammas and hadrons of equal light: a bin holds images of the same charge.",
    "reconstructed": "Gammas and hadrons of equal reconstructed energy.",
    "true": "Gammas and hadrons of equal true energy: a hadron then shows less light than a gamma.",
}


def roc(evaluation: Evaluation, palette: Palette) -> Figure:
    """ROC curves of both models, with a logarithmic view of the low-background end."""
    models = evaluation.details.models
    found = evaluation.pair().metrics["auc"]
    auc = {FLOAT: found.reference.value, COMPRESSED: found.model.value}
    drawing = figure(5.4, 3.9)
    axes = drawing.subplots()
    for name, style in model_styles(palette).items():
        curve = models[name].roc
        assert curve is not None
        axes.plot(
            curve.false_positive_rate,
            curve.true_positive_rate,
            color=style["color"],
            linestyle=style["linestyle"],
            label=f"{name}: AUC {auc[name]:.4f}",
        )
    axes.plot([0, 1], [0, 1], color=palette.muted, linewidth=0.8, linestyle=":", label="chance")
    axes.set_xlabel("Hadron efficiency (false positives)")
    axes.set_ylabel("Gamma efficiency (true positives)")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.005)
    axes.set_aspect("equal")
    axes.legend(loc="lower right")
    return drawing


def rejection(evaluation: Evaluation, palette: Palette) -> Figure:
    """The same curves, read as a trigger is: background on a logarithmic axis."""
    models = evaluation.details.models
    operating = evaluation.settings.gamma_efficiency
    drawing = figure(5.4, 3.9)
    axes = drawing.subplots()
    for name, style in model_styles(palette).items():
        curve = models[name].roc
        assert curve is not None
        background = np.array(curve.false_positive_rate)
        seen = background > 0
        axes.plot(
            np.array(curve.true_positive_rate)[seen],
            background[seen],
            color=style["color"],
            linestyle=style["linestyle"],
            label=name,
        )
    axes.axvline(operating, color=palette.muted, linewidth=0.8, linestyle=":")
    axes.annotate(
        f"operating point {operating:.0%}",
        (operating, 0.98),
        xycoords=("data", "axes fraction"),
        xytext=(-4, 0),
        textcoords="offset points",
        rotation=90,
        ha="right",
        va="top",
        fontsize=8,
        color=palette.muted,
    )
    logarithmic(axes)
    axes.set_xlim(0, 1)
    axes.set_xlabel("Gamma efficiency")
    axes.set_ylabel("Hadron efficiency")
    axes.legend(loc="lower right")
    return drawing


def binned(
    evaluation: Evaluation, palette: Palette, name: str, what: Literal["models", "difference", "ratio"]
) -> Figure:
    """A figure of merit against energy."""
    quantity = evaluation.quantities[name]
    drawing = figure()
    axes = drawing.subplots()
    per_energy(axes, evaluation, name, palette, what=what)
    unit = f" ({quantity.unit})" if quantity.unit else ""
    if what == "models":
        axes.set_ylabel(quantity.label + unit)
        axes.legend(loc="best")
    elif what == "difference":
        axes.set_ylabel(f"{quantity.label}:\ncompressed − float{unit}")
    else:
        axes.set_ylabel(f"{quantity.label}:\ncompressed / float")
    return drawing


def gammaness(evaluation: Evaluation, palette: Palette) -> Figure:
    """Distribution of gammaness for each class: float filled, compressed outlined."""
    models = evaluation.details.models
    drawing = figure()
    axes = drawing.subplots()
    for name, color in (("hadron", palette.hadron), ("gamma", palette.gamma)):
        first, second = (models[m].gammaness for m in (FLOAT, COMPRESSED))
        assert first is not None
        assert second is not None
        densities = [part.gamma if name == "gamma" else part.hadron for part in (first, second)]
        staircase(
            axes,
            first.edges,
            densities[0].density,
            color=color,
            fill=True,
            alpha=0.3,
            linewidth=0,
            label=f"{name}, float",
        )
        staircase(
            axes,
            second.edges,
            densities[1].density,
            color=color,
            linewidth=1.5,
            linestyle="-" if name == "gamma" else "--",
            label=f"{name}, compressed",
        )
    axes.set_xlim(0, 1)
    axes.set_xlabel("Gammaness")
    axes.set_ylabel("Density")
    logarithmic(axes)
    axes.legend(loc="upper center", ncols=2)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 6)
    return drawing


def confusion(evaluation: Evaluation, palette: Palette) -> Figure:
    """Confusion matrices: rates by colour, counts in words."""
    models = evaluation.details.models
    drawing = figure(5.4, 3.1)
    for axes, name in zip(drawing.subplots(1, 2), (FLOAT, COMPRESSED), strict=True):
        matrix = models[name].confusion
        assert matrix is not None
        rates = np.array(
            [[np.nan if x is None else x for x in row] for row in matrix.rates], dtype=np.float64
        )
        axes.imshow(rates, cmap=palette.colormap, vmin=0, vmax=1)
        axes.grid(False)
        for (row, col), rate in np.ndenumerate(rates):
            axes.text(
                col,
                row,
                f"{rate:.1%}\n{matrix.events[row][col]:,}",
                ha="center",
                va="center",
                color="#111111" if rate > 0.5 else "#fefefe",
            )
        axes.set_xticks([0, 1], ["gamma", "hadron"])
        axes.set_yticks([0, 1], ["gamma", "hadron"], rotation=90, va="center")
        axes.set_xlabel("Decision")
        axes.set_title(name)
    drawing.axes[0].set_ylabel("Truth")
    return drawing


def calibration(evaluation: Evaluation, palette: Palette) -> Figure:
    """Fraction of gammas against gammaness, above the number of events."""
    models = evaluation.details.models
    drawing = figure(5.4, 4.4)
    top, bottom = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0, 1], [0, 1], color=palette.muted, linewidth=0.8, linestyle=":", label="perfect")
    for name, style in model_styles(palette).items():
        rows = [r for r in models[name].calibration if r.mean is not None]
        mean = np.array([r.mean for r in rows], dtype=np.float64)
        parts = [r.fraction for r in rows]
        value, low, high = column(parts, "value"), column(parts, "low"), column(parts, "high")
        top.vlines(mean, np.minimum(low, value), np.maximum(high, value), color=style["color"], linewidth=1.3)
        top.plot(mean, value, **style, linewidth=1.0)
        edges = [0.0, *(r.high for r in models[name].calibration)]
        staircase(
            bottom,
            edges,
            [r.events for r in models[name].calibration],
            color=style["color"],
            linestyle=style["linestyle"],
            linewidth=1.4,
        )
    top.set_ylabel("Fraction of gammas")
    top.set_xlim(0, 1)
    top.legend(loc="upper left")
    logarithmic(bottom)
    bottom.set_ylabel("Events")
    bottom.set_xlabel("Mean gammaness")
    return drawing


def classification_specs(evaluation: Evaluation, bars: str) -> list[Spec]:
    """The figures of a classification run."""
    result: list[Spec] = []

    def add(name: str, title: str, caption: str, make: Callable[[Evaluation, Palette], Figure]) -> None:
        result.append(Spec(name, "classification", title, caption, partial(make, evaluation)))

    add("roc", "ROC curve", "Both models on the same test events.", roc)
    add(
        "background_rejection",
        "Background against gamma efficiency",
        "The ROC curve as a trigger reads it: lower is better.",
        rejection,
    )
    what = BINNED.get(evaluation.energy_bins.by, "")
    add(
        "auc_per_energy",
        "AUC by energy",
        f"{what} {bars}".strip(),
        partial(binned, name="auc", what="models"),
    )
    add(
        "auc_difference_per_energy",
        "AUC difference by energy",
        f"Compressed minus float, resampled together. {bars}",
        partial(binned, name="auc", what="difference"),
    )
    add(
        "gammaness",
        "Gammaness by class",
        "Each distribution has unit area; the vertical axis is logarithmic.",
        gammaness,
    )
    add(
        "confusion",
        "Confusion matrices",
        f"Decision at gammaness {evaluation.settings.fixed_threshold:g}: "
        "rate within the true class, and events.",
        confusion,
    )
    add(
        "calibration",
        "Calibration",
        "How often an event of a given gammaness is a gamma in this sample's mixture of classes.",
        calibration,
    )
    return result

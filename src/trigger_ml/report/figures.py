"""Figures of a run: what each needs, and how it is drawn.

A figure whose numbers are not in the run is left out; the page says why.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from trigger_ml.report.content import RunContent
from trigger_ml.report.figures_irf import irf_specs
from trigger_ml.report.figures_reconstruction import reconstruction_specs
from trigger_ml.report.plots import (
    column,
    energy_axis,
    logarithmic,
    model_styles,
    per_energy,
    staircase,
    tame,
)
from trigger_ml.report.reading import histories, sparsity_rows
from trigger_ml.report.reference import Curve
from trigger_ml.report.spec import Spec
from trigger_ml.report.style import Drawn, Palette, figure, save

__all__ = ["draw_all", "specs"]


HOLLOW = "Bars are {confidence:.0%} bootstrap intervals; hollow points have too few events."


def roc(content: RunContent, palette: Palette) -> Figure:
    """ROC curves of both models, with a logarithmic view of the low-background end."""
    models = content.evaluation["details"]["models"]
    auc = content.evaluation["metrics"]["auc"]
    drawing = figure(5.4, 3.9)
    axes = drawing.subplots()
    for name, style in model_styles(palette).items():
        curve = models[name]["roc"]
        axes.plot(
            curve["false_positive_rate"],
            curve["true_positive_rate"],
            color=style["color"],
            linestyle=style["linestyle"],
            label=f"{name}: AUC {auc[name]['value']:.4f}",
        )
    axes.plot([0, 1], [0, 1], color=palette.muted, linewidth=0.8, linestyle=":", label="chance")
    axes.set_xlabel("Hadron efficiency (false positives)")
    axes.set_ylabel("Gamma efficiency (true positives)")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.005)
    axes.set_aspect("equal")
    axes.legend(loc="lower right")
    return drawing


def rejection(content: RunContent, palette: Palette) -> Figure:
    """The same curves, read as a trigger is: background on a logarithmic axis."""
    models = content.evaluation["details"]["models"]
    operating = content.evaluation["settings"]["gamma_efficiency"]
    drawing = figure(5.4, 3.9)
    axes = drawing.subplots()
    for name, style in model_styles(palette).items():
        curve = models[name]["roc"]
        background = np.array(curve["false_positive_rate"])
        seen = background > 0
        axes.plot(
            np.array(curve["true_positive_rate"])[seen],
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


def binned(content: RunContent, palette: Palette, name: str, what: str) -> Figure:
    """A figure of merit against energy."""
    quantity = content.evaluation["quantities"][name]
    drawing = figure()
    axes = drawing.subplots()
    per_energy(axes, content.evaluation, name, palette, what=what)
    unit = f" ({quantity['unit']})" if quantity["unit"] else ""
    if what == "models":
        axes.set_ylabel(quantity["label"] + unit)
        axes.legend(loc="best")
    elif what == "difference":
        axes.set_ylabel(f"{quantity['label']}:\ncompressed − float{unit}")
    else:
        axes.set_ylabel(f"{quantity['label']}:\ncompressed / float")
    return drawing


def cost(content: RunContent, palette: Palette, name: str) -> Figure:
    """Compressed / float against energy."""
    drawing = figure(4.4, 3.2)
    axes = drawing.subplots()
    per_energy(axes, content.evaluation, name, palette, what="ratio")
    tame(axes, content.evaluation["bins"][name])
    axes.set_ylabel("compressed / float")
    return drawing


RATIOS = {
    "type": ("auc", "hadron_efficiency", "gamma_efficiency"),
    "energy": ("energy_resolution", "energy_std"),
    "direction": ("angular_resolution", "mean_separation"),
}


def gammaness(content: RunContent, palette: Palette) -> Figure:
    """Distribution of gammaness for each class: float filled, compressed outlined."""
    models = content.evaluation["details"]["models"]
    drawing = figure()
    axes = drawing.subplots()
    for name, color in (("hadron", palette.hadron), ("gamma", palette.gamma)):
        first, second = (models[m]["gammaness"] for m in ("float", "compressed"))
        staircase(
            axes,
            first["edges"],
            first[name]["density"],
            color=color,
            fill=True,
            alpha=0.3,
            linewidth=0,
            label=f"{name}, float",
        )
        staircase(
            axes,
            second["edges"],
            second[name]["density"],
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


def confusion(content: RunContent, palette: Palette) -> Figure:
    """Confusion matrices: rates by colour, counts in words."""
    models = content.evaluation["details"]["models"]
    drawing = figure(5.4, 3.1)
    for axes, name in zip(drawing.subplots(1, 2), ("float", "compressed"), strict=True):
        matrix = models[name]["confusion"]
        rates = np.array(
            [[np.nan if x is None else x for x in row] for row in matrix["rates"]], dtype=np.float64
        )
        axes.imshow(rates, cmap=palette.colormap, vmin=0, vmax=1)
        axes.grid(False)
        for (row, col), rate in np.ndenumerate(rates):
            axes.text(
                col,
                row,
                f"{rate:.1%}\n{matrix['events'][row][col]:,}",
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


def calibration(content: RunContent, palette: Palette) -> Figure:
    """Fraction of gammas against gammaness, above the number of events."""
    models = content.evaluation["details"]["models"]
    drawing = figure(5.4, 4.4)
    top, bottom = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0, 1], [0, 1], color=palette.muted, linewidth=0.8, linestyle=":", label="perfect")
    for name, style in model_styles(palette).items():
        rows = [r for r in models[name]["calibration"] if r["mean"] is not None]
        mean = np.array([r["mean"] for r in rows])
        parts = [r["fraction"] for r in rows]
        value, low, high = (column(parts, key) for key in ("value", "low", "high"))
        top.vlines(mean, np.minimum(low, value), np.maximum(high, value), color=style["color"], linewidth=1.3)
        top.plot(mean, value, **{**style, "linewidth": 1.0})
        edges = [0.0, *(r["high"] for r in models[name]["calibration"])]
        staircase(
            bottom,
            edges,
            [r["events"] for r in models[name]["calibration"]],
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


def energy_distribution(content: RunContent, palette: Palette) -> Figure:
    """Events evaluated, per class and energy bin."""
    edges = content.evaluation["energy_bins"]["edges"]
    counts = content.evaluation["details"]["energy_distribution"]
    drawing = figure(5.4, 3.2)
    axes = drawing.subplots()
    for name, color, line in (("gamma", palette.gamma, "-"), ("hadron", palette.hadron, "--")):
        if sum(counts[name]):
            staircase(axes, edges, counts[name], color=color, linestyle=line, linewidth=1.6, label=name)
    energy_axis(axes, edges)
    logarithmic(axes)
    axes.set_ylabel("Events in the bin")
    axes.legend(loc="best")
    return drawing


def training(content: RunContent, palette: Palette) -> Figure:
    """Loss against epoch: float training, pruning, fine-tuning of the compressed model."""
    curves = histories(content.model)
    drawing = figure(2.0 + 2.2 * len(curves), 3.2)
    grid = drawing.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (name, curve) in zip(grid, curves.items(), strict=True):
        color = model_styles(palette)["float" if name == "float" else "compressed"]["color"]
        epochs = np.arange(1, len(curve["loss"]) + 1)
        single = {"marker": "o"} if len(epochs) < 15 else {}
        axes.plot(epochs, curve["loss"], color=color, label="training", **single)
        if curve.get("val_loss"):
            axes.plot(epochs, curve["val_loss"], color=color, linestyle="--", label="validation", **single)
        axes.set_title(
            {"float": "training", "pruning": "pruning", "compressed": "quantized fine-tuning"}[name]
        )
        axes.set_xlabel("Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend()
    grid[0].set_ylabel("Loss")
    return drawing


def sparsity(content: RunContent, palette: Palette) -> Figure:
    """Fraction of weights that are zero, layer by layer."""
    rows = sparsity_rows(content.model)
    drawing = figure(5.4, max(1.9, 0.9 + 0.27 * len(rows)))
    axes = drawing.subplots()
    places = np.arange(len(rows))[::-1]
    values = [row["sparsity"] for row in rows]
    axes.barh(places, values, color=palette.compressed, height=0.7)
    for place, row in zip(places, rows, strict=True):
        axes.annotate(
            f"{row['sparsity']:.0%} of {row['weights']:,}" if row["weights"] else f"{row['sparsity']:.0%}",
            (row["sparsity"], place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(places, [row["name"] for row in rows])
    axes.set_xlim(0, max(1.0, *values) * 1.22)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("Weights that are zero")
    return drawing


def specs(content: RunContent, references: Sequence[Curve] = ()) -> list[Spec]:
    """The figures that this run has numbers for, in the page's order."""
    evaluation = content.evaluation
    result: list[Spec] = []

    def add(
        name: str, section: str, title: str, caption: str, make: Callable[..., Figure], *rest: Any
    ) -> None:
        result.append(Spec(name, section, title, caption, lambda palette: make(content, palette, *rest)))

    if evaluation:
        bars = HOLLOW.format(confidence=evaluation["settings"]["confidence"])
        for name in RATIOS.get(content.task, ()):
            if name in evaluation["bins"]:
                quantity = evaluation["quantities"][name]
                add(
                    f"cost_{name}",
                    "cost",
                    f"{quantity['label']}, compressed / float",
                    f"Same events, paired; {quantity['better']} is better. {bars}",
                    cost,
                    name,
                )
    if evaluation and content.task == "type" and evaluation.get("details", {}).get("models"):
        add("roc", "classification", "ROC curve", "Both models on the same test events.", roc)
        add(
            "background_rejection",
            "classification",
            "Background against gamma efficiency",
            "The ROC curve as a trigger reads it: lower is better.",
            rejection,
        )
        add("auc_per_energy", "classification", "AUC by energy", bars, binned, "auc", "models")
        add(
            "auc_difference_per_energy",
            "classification",
            "AUC difference by energy",
            f"Compressed minus float, resampled together. {bars}",
            binned,
            "auc",
            "difference",
        )
        add(
            "gammaness",
            "classification",
            "Gammaness by class",
            "Each distribution has unit area; the vertical axis is logarithmic.",
            gammaness,
        )
        add(
            "confusion",
            "classification",
            "Confusion matrices",
            f"Decision at gammaness {evaluation['settings']['fixed_threshold']:g}: "
            "rate within the true class, and events.",
            confusion,
        )
        add(
            "calibration",
            "classification",
            "Calibration",
            "How often an event of a given gammaness is a gamma in this sample's mixture of classes.",
            calibration,
        )
    if evaluation and content.task in ("energy", "direction"):
        result += reconstruction_specs(content, bars, references)
    if evaluation.get("irf", {}).get("models"):
        result += irf_specs(content, bars, references)
    if evaluation.get("details", {}).get("energy_distribution"):
        add(
            "energy_distribution",
            "events",
            "Energies of the events",
            "Events on which both models were judged."
            if content.task == "type"
            else "All test events; the models are judged on the gammas.",
            energy_distribution,
        )
    if histories(content.model):
        add("training", "model", "Training curves", "Loss after each epoch.", training)
    if sparsity_rows(content.model):
        add(
            "sparsity",
            "model",
            "Sparsity by layer",
            "Measured on the stored weights after pruning.",
            sparsity,
        )
    return result


def draw_all(chosen: Sequence[Spec], folder: Path) -> dict[str, list[Drawn]]:
    """Draw figures.

    Parameters
    ----------
    chosen : sequence of Spec
    folder : Path
        Receives PNG and PDF of each.

    Returns
    -------
    dict of str to list of Drawn
        By section of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, list[Drawn]] = {}
    for spec in chosen:
        drawn.setdefault(spec.section, []).append(
            save(spec.name, spec.title, spec.caption, spec.make, folder)
        )
    return drawn

"""Which figures a run has numbers for, and those of every task: cost, events, training, sparsity.

A figure whose numbers are not in the run is left out; the page says why.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from trigger_ml.core.documents.evaluation import COMPRESSED, FLOAT, Evaluation
from trigger_ml.core.documents.model import ModelSummary
from trigger_ml.report.content import RunContent
from trigger_ml.report.figures_classification import classification_specs
from trigger_ml.report.figures_irf import irf_specs
from trigger_ml.report.figures_light import light_spec
from trigger_ml.report.figures_reconstruction import reconstruction_specs
from trigger_ml.report.figures_robustness import robustness_specs
from trigger_ml.report.plots import (
    binned_label,
    energy_axis,
    logarithmic,
    model_styles,
    per_energy,
    staircase,
    tame,
)
from trigger_ml.report.reading import histories
from trigger_ml.report.reference import Curve
from trigger_ml.report.spec import Spec
from trigger_ml.report.style import Drawn, Palette, figure, save

__all__ = ["draw_all", "specs"]

HOLLOW = "Bars are {confidence:.0%} bootstrap intervals; hollow points have too few events."


def cost(evaluation: Evaluation, palette: Palette, name: str) -> Figure:
    """Compressed / float against energy."""
    drawing = figure(4.4, 3.2)
    axes = drawing.subplots()
    per_energy(axes, evaluation, name, palette, what="ratio")
    tame(axes, evaluation.pair().bins[name])
    axes.set_ylabel("compressed / float")
    return drawing


RATIOS = {
    "type": ("auc", "hadron_efficiency", "gamma_efficiency"),
    "energy": ("energy_resolution", "energy_std"),
    "direction": ("angular_resolution", "mean_separation"),
}


def energy_distribution(evaluation: Evaluation, palette: Palette) -> Figure:
    """Events evaluated, per class and energy bin."""
    edges, counts = evaluation.energy_bins.edges, evaluation.details.energy_distribution
    assert counts is not None
    drawing = figure(5.4, 3.2)
    axes = drawing.subplots()
    for name, color, line in (("gamma", palette.gamma, "-"), ("hadron", palette.hadron, "--")):
        if sum(counts[name]):
            staircase(axes, edges, counts[name], color=color, linestyle=line, linewidth=1.6, label=name)
    label = binned_label(evaluation) if evaluation.task == "type" else "True energy (TeV)"
    energy_axis(axes, edges, label)
    logarithmic(axes)
    axes.set_ylabel("Events in the bin")
    axes.legend(loc="best")
    return drawing


def training(model: ModelSummary, palette: Palette) -> Figure:
    """Loss against epoch: float training, pruning, fine-tuning of the compressed model."""
    curves = {name: history.metrics for name, history in histories(model).items() if history.metrics}
    drawing = figure(2.0 + 2.2 * len(curves), 3.2)
    grid = drawing.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (name, curve) in zip(grid, curves.items(), strict=True):
        color = model_styles(palette)[FLOAT if name == FLOAT else COMPRESSED]["color"]
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


def sparsity(model: ModelSummary, palette: Palette) -> Figure:
    """Fraction of weights that are zero, layer by layer."""
    rows = model.compressed.sparsity_by_layer
    drawing = figure(5.4, max(1.9, 0.9 + 0.27 * len(rows)))
    axes = drawing.subplots()
    places = np.arange(len(rows))[::-1]
    values = [row.sparsity for row in rows]
    axes.barh(places, values, color=palette.compressed, height=0.7)
    for place, row in zip(places, rows, strict=True):
        axes.annotate(
            f"{row.sparsity:.0%} of {row.weights:,}" if row.weights else f"{row.sparsity:.0%}",
            (row.sparsity, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(places, [row.layer for row in rows])
    axes.set_xlim(0, max(1.0, *values) * 1.22)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("Weights that are zero")
    return drawing


def specs(content: RunContent, references: Sequence[Curve] = ()) -> list[Spec]:
    """The figures that this run has numbers for, in the page's order."""
    result = [] if content.evaluation is None else _evaluation_specs(content.evaluation, references)
    model = content.model
    if any(history.metrics for history in histories(model).values()):
        make = partial(training, model)
        result.append(Spec("training", "model", "Training curves", "Loss after each epoch.", make))
    if model.compressed.sparsity_by_layer:
        caption = "Measured on the stored weights after pruning."
        result.append(Spec("sparsity", "model", "Sparsity by layer", caption, partial(sparsity, model)))
    return result


def _evaluation_specs(evaluation: Evaluation, references: Sequence[Curve]) -> list[Spec]:
    result: list[Spec] = []
    bars = HOLLOW.format(confidence=evaluation.settings.confidence)
    for name in RATIOS.get(evaluation.task, ()):
        if name in evaluation.pair().bins:
            quantity = evaluation.quantities[name]
            result.append(
                Spec(
                    f"cost_{name}",
                    "cost",
                    f"{quantity.label}, compressed / float",
                    f"Same events, paired; {quantity.better} is better. {bars}",
                    partial(cost, evaluation, name=name),
                )
            )
    details = evaluation.details
    if evaluation.task == "type" and details.models:
        result += classification_specs(evaluation, bars)
    if evaluation.task in ("energy", "direction"):
        result += reconstruction_specs(evaluation, bars, references)
    result += robustness_specs(evaluation)
    result += irf_specs(evaluation, bars, references)
    if details.light is not None and details.light.overall:
        result.append(light_spec(evaluation, details.light, bars))
    if details.energy_distribution:
        caption = "All test events; the models are judged on the gammas."
        if evaluation.task == "type":
            caption = "Events on which both models were judged."
        make = partial(energy_distribution, evaluation)
        result.append(Spec("energy_distribution", "events", "Energies of the events", caption, make))
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

"""Drawing pieces that several figures share."""

from collections.abc import Callable, Sequence
from typing import Literal, TypedDict, Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from trigger_ml.core.documents.estimates import Comparison, Estimate
from trigger_ml.core.documents.evaluation import COMPRESSED, FLOAT, Evaluation
from trigger_ml.report.style import Palette

__all__ = [
    "Style",
    "binned_label",
    "column",
    "energy_axis",
    "interval_points",
    "logarithmic",
    "model_styles",
    "of_both",
    "of_models",
    "per_energy",
    "staircase",
    "tame",
]

FloatArray = NDArray[np.float64]


class Style(TypedDict, total=False):
    """How a model is drawn."""

    color: str
    marker: str
    linestyle: str
    label: str


def column(rows: Sequence[Estimate], key: Literal["value", "low", "high"]) -> FloatArray:
    """A column of intervals as numbers; None becomes NaN."""
    values: list[float | None] = [getattr(row, key) for row in rows]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def of_models(rows: Sequence[Comparison]) -> dict[str, list[Estimate]]:
    """The float and the compressed model's part of comparisons."""
    return {FLOAT: [row.reference for row in rows], COMPRESSED: [row.model for row in rows]}


def of_both(rows: Sequence[Comparison], what: Literal["difference", "ratio"]) -> list[Estimate]:
    """Differences or ratios of comparisons."""
    return [row.difference if what == "difference" else row.ratio for row in rows]


def binned_label(evaluation: Evaluation) -> str:
    """Label of the axis of an evaluation's energy bins."""
    return f"{evaluation.energy_bins.label} (TeV)"


def energy_axis(axes: Axes, edges: Sequence[float], label: str = "True energy (TeV)") -> None:
    """Logarithmic energy axis with plain numbers, none of them twice and none over another."""
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    decades = float(np.log10(edges[-1] / edges[0]))
    axes.xaxis.set_minor_formatter(FuncFormatter(_minor(decades, lambda value: f"{value:.2g}")))
    axes.set_xlabel(label)


SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _power(value: float, _: object = None) -> str:
    """A tick of a logarithmic axis: plain near one, else with a power of ten."""
    exponent = int(np.floor(np.log10(value) + 1e-9))
    leading = round(value / 10.0**exponent, 2)
    if -2 <= exponent <= 3:
        return f"{value:g}"
    power = "10" + str(exponent).translate(SUPERSCRIPT)
    return power if leading == 1 else f"{leading:g}·{power}"


def _minor(decades: float, text: Callable[[float], str]) -> Callable[[float, object], str]:
    """Labels between powers of ten: none, 2 and 5, or all, as the axis has room for.

    Parameters
    ----------
    decades : float
        Length of the axis.
    text : callable
        Gives the label of a value.
    """
    # on less than 0.6 decades every multiple has room; beyond 1.6 the powers of ten are enough
    shown = range(2, 10) if decades < 0.6 else (2, 5) if decades < 1.6 else ()

    def label(value: float, _: object = None) -> str:
        if value <= 0:
            return ""
        leading = value / 10.0 ** np.floor(np.log10(value) + 1e-9)
        return text(value) if round(float(leading), 6) in shown else ""

    return label


def logarithmic(axes: Axes) -> None:
    """Logarithmic vertical axis; ticks as text, which is drawn much faster than formulae."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(_power))
    low, high = axes.get_ylim()
    axes.yaxis.set_minor_formatter(FuncFormatter(_minor(float(np.log10(high / low)), _power)))


def model_styles(palette: Palette) -> dict[str, Style]:
    """How the two models are drawn, everywhere."""
    return {
        FLOAT: {"color": palette.float_model, "marker": "o", "linestyle": "-", "label": "float"},
        COMPRESSED: {"color": palette.compressed, "marker": "s", "linestyle": "--", "label": "compressed"},
    }


def interval_points(
    axes: Axes,
    edges: FloatArray,
    rows: Sequence[Estimate],
    shift: float = 0.0,
    *,
    positive: bool = False,
    **style: Unpack[Style],
) -> None:
    """Points with interval bars at the bins' centres; flagged bins are hollow.

    Parameters
    ----------
    axes : Axes
    edges : numpy.ndarray of float64, shape (bins + 1,)
        TeV.
    rows : sequence of Estimate
    shift : float
        Displacement in bin widths, so that two models do not hide each other.
    positive : bool
        For a logarithmic axis: leave out what is not above zero.
    """
    value, low, high = column(rows, "value"), column(rows, "low"), column(rows, "high")
    if positive:
        value = np.where(value > 0, value, np.nan)
    position = 0.5 + shift
    centers = edges[:-1] ** (1 - position) * edges[1:] ** position
    known = np.isfinite(value)
    flagged = np.array([bool(row.flag) for row in rows]) & known
    bars = np.isfinite(low) & np.isfinite(high) & known
    color, label = style["color"], style.get("label")
    line = style.get("linestyle", "none")
    # a line that ends where a bin is unknown: it must not suggest a value there
    axes.plot(centers, np.where(known, value, np.nan), color=color, linestyle=line, linewidth=1.0, alpha=0.55)
    # percentile intervals of a bounded quantity need not contain the estimate
    axes.vlines(
        centers[bars],
        np.minimum(low, value)[bars],
        np.maximum(high, value)[bars],
        color=color,
        linewidth=1.4,
    )
    marker = style.get("marker", "o")
    good = known & ~flagged
    axes.plot(centers[good], value[good], marker=marker, color=color, linestyle="none")
    axes.plot(
        centers[flagged],
        value[flagged],
        marker=marker,
        color=color,
        markerfacecolor=axes.get_facecolor(),
        linestyle="none",
    )
    axes.plot([], [], marker=marker, color=color, linestyle=line, label=label)


def per_energy(
    axes: Axes,
    evaluation: Evaluation,
    name: str,
    palette: Palette,
    *,
    what: Literal["models", "difference", "ratio"] = "models",
) -> None:
    """A figure of merit against energy: both models, or ``difference`` or ``ratio``."""
    edges = np.asarray(evaluation.energy_bins.edges, dtype=np.float64)
    rows = evaluation.pair().bins[name]
    energy_axis(axes, list(edges), binned_label(evaluation))
    if what == "models":
        for (model, style), shift in zip(model_styles(palette).items(), (-0.1, 0.1), strict=True):
            interval_points(axes, edges, of_models(rows)[model], shift, **style)
        return
    interval_points(axes, edges, of_both(rows, what), color=palette.compressed, marker="s", linestyle="none")
    axes.axhline(1.0 if what == "ratio" else 0.0, color=palette.float_model, linewidth=1.2)


class Outline(TypedDict, total=False):
    """How a histogram is drawn."""

    color: str
    linestyle: str
    label: str
    linewidth: float
    fill: bool
    alpha: float


def staircase(
    axes: Axes,
    edges: Sequence[float] | FloatArray,
    values: Sequence[float] | FloatArray,
    **style: Unpack[Outline],
) -> None:
    """A histogram's outline."""
    axes.stairs(np.asarray(values, dtype=np.float64), np.asarray(edges, dtype=np.float64), **style)


def tame(axes: Axes, rows: Sequence[Comparison], what: Literal["difference", "ratio"] = "ratio") -> None:
    """Let bins with enough events set the range, so that one wild bin does not flatten the others.

    Parameters
    ----------
    axes : Axes
    rows : sequence of Comparison
    what : {"ratio", "difference"}
        The column drawn.
    """
    good = [row for row in of_both(rows, what) if not row.flag]
    none, least = (1.0, 0.01) if what == "ratio" else (0.0, 0.001)
    ends = np.r_[column(good, "low"), column(good, "high"), column(good, "value"), none]
    ends = ends[np.isfinite(ends)]
    low, high = min(ends.min(), none - least), max(ends.max(), none + least)
    room = 0.15 * (high - low)
    axes.set_ylim(low - room, high + room)

"""Drawing pieces that several figures share."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from trigger_ml.report.style import Palette

__all__ = [
    "column",
    "energy_axis",
    "interval_points",
    "logarithmic",
    "model_styles",
    "per_energy",
    "staircase",
    "tame",
]

FloatArray = NDArray[np.float64]


def column(rows: Sequence[Mapping[str, Any]], key: str) -> FloatArray:
    """A column of intervals as numbers; None becomes NaN."""
    return np.array([np.nan if row[key] is None else row[key] for row in rows], dtype=np.float64)


def energy_axis(axes: Axes, edges: Sequence[float], label: str = "True energy (TeV)") -> None:
    """Logarithmic energy axis with plain numbers."""
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if np.log10(edges[-1] / edges[0]) < 1.2:
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    axes.set_xlabel(label)


SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _power(value: float, _: object = None) -> str:
    """A tick of a logarithmic axis: plain near one, else a power of ten."""
    exponent = round(float(np.log10(value)))
    if not np.isclose(value, 10.0**exponent):
        # between decades: 2 and 5 only, the others would touch each other
        leading = value / 10.0 ** np.floor(np.log10(value))
        return f"{value:g}" if np.isclose(leading, (2, 5)).any() and 1e-3 < value < 1e5 else ""
    return f"{value:g}" if -2 <= exponent <= 3 else "10" + str(exponent).translate(SUPERSCRIPT)


def logarithmic(axes: Axes) -> None:
    """Logarithmic vertical axis; ticks as text, which is drawn much faster than formulae."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(_power))
    low, high = axes.get_ylim()
    short = high / low < 30
    axes.yaxis.set_minor_formatter(FuncFormatter(_power) if short else NullFormatter())


def model_styles(palette: Palette) -> dict[str, dict[str, Any]]:
    """How the two models are drawn, everywhere."""
    return {
        "float": {"color": palette.float_model, "marker": "o", "linestyle": "-", "label": "float"},
        "compressed": {"color": palette.compressed, "marker": "s", "linestyle": "--", "label": "compressed"},
    }


def interval_points(
    axes: Axes,
    edges: FloatArray,
    rows: Sequence[Mapping[str, Any]],
    shift: float = 0.0,
    *,
    positive: bool = False,
    **style: Any,
) -> None:
    """Points with interval bars at the bins' centres; flagged bins are hollow.

    Parameters
    ----------
    axes : Axes
    edges : numpy.ndarray of float64, shape (bins + 1,)
        TeV.
    rows : sequence of dict
        Intervals.
    shift : float
        Displacement in bin widths, so that two models do not hide each other.
    positive : bool
        For a logarithmic axis: leave out what is not above zero.
    """
    value, low, high = (column(rows, key) for key in ("value", "low", "high"))
    if positive:
        value = np.where(value > 0, value, np.nan)
    position = 0.5 + shift
    centers = edges[:-1] ** (1 - position) * edges[1:] ** position
    known = np.isfinite(value)
    flagged = np.array([bool(row.get("flag")) for row in rows]) & known
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
    axes: Axes, evaluation: Mapping[str, Any], name: str, palette: Palette, *, what: str = "models"
) -> None:
    """A figure of merit against energy: both models, or ``difference`` or ``ratio``."""
    edges = np.asarray(evaluation["energy_bins"]["edges"], dtype=np.float64)
    rows = evaluation["bins"][name]
    energy_axis(axes, list(edges))
    if what == "models":
        for (model, style), shift in zip(model_styles(palette).items(), (-0.1, 0.1), strict=True):
            interval_points(axes, edges, [row[model] for row in rows], shift, **style)
        return
    style = {"color": palette.compressed, "marker": "s", "linestyle": "none"}
    interval_points(axes, edges, [row[what] for row in rows], **style)
    axes.axhline(1.0 if what == "ratio" else 0.0, color=palette.float_model, linewidth=1.2)


def staircase(axes: Axes, edges: Sequence[float], values: Sequence[float], **style: Any) -> None:
    """A histogram's outline."""
    axes.stairs(np.asarray(values, dtype=np.float64), np.asarray(edges, dtype=np.float64), **style)


def tame(axes: Axes, rows: Sequence[Mapping[str, Any]], what: str = "ratio") -> None:
    """Let bins with enough events set the range, so that one wild bin does not flatten the others.

    Parameters
    ----------
    axes : Axes
    rows : sequence of dict
        Comparisons.
    what : {"ratio", "difference"}
        The column drawn.
    """
    good = [row[what] for row in rows if not row[what].get("flag")]
    none, least = (1.0, 0.01) if what == "ratio" else (0.0, 0.001)
    ends = np.r_[column(good, "low"), column(good, "high"), column(good, "value"), none]
    ends = ends[np.isfinite(ends)]
    low, high = min(ends.min(), none - least), max(ends.max(), none + least)
    room = 0.15 * (high - low)
    axes.set_ylim(low - room, high + room)

"""Figure of one event's way through the network: ranges, saturation and zeros, layer by layer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from trigger_ml.report.style import Palette, figure

__all__ = ["trace_figure"]

# part of a layer's row that the bars of all backends share
ROW = 0.8


def _ranges(axes: Axes, content: Mapping[str, Any], palette: Palette, legend: float) -> None:
    """A bar for each backend, over the range that the type allows."""
    backends, layers = content["backends"], content["layers"]
    height = ROW / len(backends)
    spans = [layer["type_range"] for layer in layers]
    rows = np.arange(len(layers))
    lows, highs = np.array(spans, dtype=np.float64).T
    axes.barh(rows, highs - lows, ROW, lows, color=palette.grid)
    keys: list[Artist] = [Patch(color=palette.grid, label="range of the type")]
    for number, backend in enumerate(backends):
        color = palette.series[number % len(palette.series)]
        keys.append(Patch(color=color, label=backend))
        for row, layer in enumerate(layers):
            seen = layer["backends"].get(backend)
            if seen is None or seen["real_low"] is None:
                continue
            low, high = seen["real_low"], seen["real_high"]
            place = row - ROW / 2 + (number + 0.5) * height
            axes.barh(place, high - low, 0.8 * height, low, color=color)
            # a layer with one value only would have no bar
            axes.plot([low, high], [place, place], "|", color=color, markersize=3)
            if seen["differing"]:
                axes.annotate("≠", (high, place), (3, 0), textcoords="offset points", va="center")
    known = [(row, layer["float_range"]) for row, layer in enumerate(layers) if layer["float_range"]]
    if known:
        lines = axes.hlines(
            [row + ROW / 2 for row, _ in known],
            [span[0] for _, span in known],
            [span[1] for _, span in known],
            color=palette.ink,
            linewidth=1.2,
            label="float model",
        )
        keys.append(lines)
    # layers differ by orders of magnitude, and values have both signs
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set_xlabel("Value")
    axes.legend(handles=keys, loc="upper left", bbox_to_anchor=(0, legend), ncols=3)


def _fractions(axes: Axes, content: Mapping[str, Any], palette: Palette, legend: float) -> None:
    layers = content["layers"]
    reference = [layer["backends"][content["backends"][0]] for layer in layers]
    rows = np.arange(len(layers))
    axes.barh(rows + 0.2, [s["zero"] for s in reference], 0.36, color=palette.muted, label="zero")
    kept = [(row, s["saturated"]) for row, s in enumerate(reference) if s["saturated"] is not None]
    axes.barh(
        [row - 0.2 for row, _ in kept],
        [value for _, value in kept],
        0.36,
        color=palette.compressed,
        label="saturated",
    )
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("Fraction of the layer's values")
    axes.legend(loc="upper left", bbox_to_anchor=(0, legend), ncols=2)


def trace_figure(content: Mapping[str, Any], palette: Palette) -> Figure:
    """Ranges of all backends beside zero and saturation fractions, one row for each layer.

    Parameters
    ----------
    content : mapping
        What ``trace/event-K.json`` holds.
    palette : Palette
    """
    layers = content["layers"]
    size = 0.34 * len(layers)
    drawing = figure(9.0, 1.7 + size)
    legend = -0.55 / size  # inches below the axes, whatever their height
    left, right = drawing.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    _ranges(left, content, palette, legend)
    _fractions(right, content, palette, legend)
    left.set_yticks(range(len(layers)), [f"{layer['layer']}  {layer['type']}" for layer in layers])
    left.set_ylim(len(layers) - 0.4, -0.6)
    first = content["first_difference"]
    for label, layer in zip(left.get_yticklabels(), layers, strict=True):
        if layer["layer"] in first.values():
            label.set_color(palette.compressed)
            label.set_fontweight("bold")
    said = "; ".join(f"{name} first differs in {layer}" for name, layer in first.items())
    drawing.suptitle(f"Event {content['event']}: {said or 'all backends agree'}", fontsize=11)
    return drawing

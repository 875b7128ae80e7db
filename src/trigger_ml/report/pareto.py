"""The explorer of what compression costs against what it saves: an interactive plot without network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from trigger_ml.report.style import LIGHT

__all__ = ["Axis", "Explorer", "explorer", "front"]


@dataclass(frozen=True)
class Axis:
    """A quantity of all runs.

    Parameters
    ----------
    label : str
    values : sequence of float or None
        One for each run; smaller is better.
    low, high : sequence of float or None
        Intervals, where there are any.
    """

    label: str
    values: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()

    @property
    def known(self) -> bool:
        """Whether at least two runs have it."""
        return sum(value is not None for value in self.values) > 1


def front(x: Sequence[float | None], y: Sequence[float | None]) -> list[int]:
    """Runs that no other run beats in both quantities (smaller is better), by rising ``x``.

    Parameters
    ----------
    x, y : sequence of float or None
        A run with None takes no part.

    Returns
    -------
    list of int
    """
    known = [(a, b, i) for i, (a, b) in enumerate(zip(x, y, strict=True)) if a is not None and b is not None]
    best = float("inf")
    result = []
    for _, b, i in sorted(known):
        if b < best:
            result.append(i)
            best = b
    return result


def _traces(names: Sequence[str], x: Axis, y: Axis) -> list[Mapping[str, object]]:
    line = front(x.values, y.values)
    error: dict[str, object] = {}
    if y.low and y.high:
        pairs = list(zip(y.values, y.low, y.high, strict=True))
        error = {
            "type": "data",
            "symmetric": False,
            "array": [None if v is None or h is None else max(h - v, 0) for v, _, h in pairs],
            "arrayminus": [None if v is None or a is None else max(v - a, 0) for v, a, _ in pairs],
            "thickness": 1.2,
        }
    return [
        {
            "x": list(x.values),
            "y": list(y.values),
            "error_y": error,
            "text": list(names),
            "hovertemplate": f"<b>%{{text}}</b><br>{x.label}: %{{x}}<br>{y.label}: %{{y:.3g}}<extra></extra>",
        },
        {"x": [x.values[i] for i in line], "y": [y.values[i] for i in line]},
    ]


@dataclass(frozen=True)
class Explorer:
    """An interactive plot.

    Parameters
    ----------
    html : str
        With its library inside.
    views : tuple of dict
        Choices of axes: ``label``, and ``data`` and ``layout`` for ``Plotly.update``.
    """

    html: str
    views: tuple[dict[str, object], ...]


def explorer(names: Sequence[str], savings: Sequence[Axis], costs: Sequence[Axis]) -> Explorer | None:
    """An interactive scatter plot of costs against savings.

    Parameters
    ----------
    names : sequence of str
        Of the runs.
    savings : sequence of Axis
        Choices of the horizontal axis.
    costs : sequence of Axis
        Choices of the vertical axis.

    Returns
    -------
    Explorer or None
        None when there is nothing to plot.
    """
    xs, ys = [axis for axis in savings if axis.known], [axis for axis in costs if axis.known]
    if not xs or not ys:
        return None
    pairs = [(x, y) for y in ys for x in xs]
    points, line = _traces(names, *pairs[0])
    marker = {"size": 11, "color": LIGHT.compressed, "line": {"width": 1, "color": "white"}}
    joint = {"color": LIGHT.float_model, "dash": "dot"}
    plot = go.Figure(
        [
            go.Scatter(**line, mode="lines", line=joint, hoverinfo="skip"),
            go.Scatter(**points, mode="markers", marker=marker),
        ]
    )
    views: list[dict[str, object]] = []
    for x, y in pairs:
        shown, joined = _traces(names, x, y)
        data = {key: [joined.get(key), shown.get(key)] for key in ("x", "y", "error_y", "hovertemplate")}
        layout = {"xaxis.title.text": x.label, "yaxis.title.text": y.label}
        views.append({"label": f"{y.label} against {x.label}", "data": data, "layout": layout})
    plot.update_layout(
        template="plotly_white",
        showlegend=False,
        height=460,
        margin={"l": 70, "r": 20, "t": 20, "b": 60},
        xaxis={"title": {"text": pairs[0][0].label}, "automargin": True},
        yaxis={"title": {"text": pairs[0][1].label}, "automargin": True},
        hovermode="closest",
    )
    html = plot.to_html(
        full_html=False,
        include_plotlyjs=True,
        div_id="pareto",
        config={"responsive": True, "displayModeBar": False},
    )
    return Explorer(str(html), tuple(views))

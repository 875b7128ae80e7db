"""The firmware's resources, clocks and timing as the page shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trigger_ml.report import formatting
from trigger_ml.report.reading import dig, firmware_clocks, firmware_figure

__all__ = ["Tables", "firmware_tables", "latency_tile", "lut_tile", "not_run"]

PROJECTS = {"rtl": "RTL project", "hls": "HLS project"}
RESOURCES = {"lut": "LUT", "ff": "FF", "bram": "BRAM", "dsp": "DSP"}
TOTAL = "total"


@dataclass(frozen=True)
class Tables:
    """What the page shows of one project.

    Parameters
    ----------
    title : str
    part : str
    clock : str
    totals : list of list of str
        Source, then number and share of each resource, tool.
    clocks : list of list of str
        Source, II, latency, tool.
    timing : list of list of str
        Source, kind, figure, slack, note.
    layer_headings : list of str
    layers : list of list of str
        Layer, then LUT and FF of each source.
    """

    title: str
    part: str
    clock: str
    totals: list[list[str]]
    clocks: list[list[str]]
    timing: list[list[str]]
    layer_headings: list[str]
    layers: list[list[str]]


def _amount(figure: Mapping[str, Any], name: str) -> str:
    text = formatting.number(figure.get(name))
    if "lut_low" in figure and name == "lut":
        text += f" ({figure['lut_low']:,} to {figure['lut_high']:,})"
    return text


def _share(figure: Mapping[str, Any]) -> str:
    found = figure.get("lut_percent")
    return formatting.DASH if found is None else f"{formatting.number(found, 2)} %"


def _source(figure: Mapping[str, Any]) -> str:
    return str(figure["source"]) + (f", part {figure['part']}" if "part" in figure else "")


def _layers(figures: list[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    found = [figure for figure in figures if figure["layer"] != TOTAL]
    sources = list(dict.fromkeys(figure["source"] for figure in found))
    known = {(figure["layer"], figure["source"]): figure for figure in found}
    rows = []
    for layer in dict.fromkeys(figure["layer"] for figure in found):
        cells = [known.get((layer, source), {}) for source in sources]
        rows.append([layer, *(formatting.number(c.get(k)) for c in cells for k in ("lut", "ff"))])
    headings = [f"{amount}, {source}" for source in sources for amount in ("LUT", "FF")]
    return ["Layer", *headings], rows


def _timing(entry: Mapping[str, Any]) -> list[str]:
    value = formatting.DASH
    if "fmax_mhz" in entry:
        value = f"{formatting.number(entry['fmax_mhz'])} MHz"
    elif "arrival_ns" in entry:
        value = f"{formatting.number(entry['arrival_ns'])} ns"
    slack = f"{entry['slack_ns']:+.2f} ns".replace("-", "−")
    return [entry["source"], entry["kind"], value, slack, entry.get("note", "")]


def firmware_tables(resources: Mapping[str, Any]) -> list[Tables]:
    """Tables of each project in ``resources.json``."""
    tables = []
    for name, title in PROJECTS.items():
        project = resources.get(name)
        if not project:
            continue
        figures = project["figures"]
        headings, layers = _layers(figures)
        tables.append(
            Tables(
                title,
                project["part"]["name"],
                f"{formatting.number(project['clock_period_ns'])} ns",
                [
                    [_source(f), _amount(f, "lut"), _share(f)]
                    + [_amount(f, key) for key in ("ff", "bram", "dsp")]
                    + [f["tool"]]
                    for f in figures
                    if f["layer"] == TOTAL
                ],
                [
                    [c["source"], formatting.count(c["interval"]), formatting.count(c["latency"]), c["tool"]]
                    for c in project["clocks"]
                ],
                [_timing(entry) for entry in project["timing"]],
                headings,
                layers,
            )
        )
    return tables


def not_run(resources: Mapping[str, Any]) -> list[str]:
    """What was not measured of each project, and why."""
    return [
        f"{title}, {entry['source']}: {entry['reason']}"
        for name, title in PROJECTS.items()
        for entry in dig(resources, name, "not_run", default=())
    ]


def lut_tile(resources: Mapping[str, Any]) -> tuple[str, str] | None:
    """Value and note of the lookup tables; None where they are not known."""
    figure = firmware_figure(resources)
    if figure is None:
        return None
    note = figure["source"]
    if "lut_percent" in figure:
        note += f"; {_share(figure)} of {figure['device']}"
    return formatting.count(figure["lut"]), note


def latency_tile(resources: Mapping[str, Any]) -> tuple[str, str] | None:
    """Value and note of the latency; None where it is not known."""
    clocks = firmware_clocks(resources)
    if clocks is None:
        return None
    seconds = 1e-9 * clocks["latency"] * clocks["clock_period_ns"]
    note = (
        f"{clocks['source']}; a result every {clocks['interval']:,}; {formatting.duration(seconds)} "
        f"at the {formatting.number(clocks['clock_period_ns'])} ns asked for"
    )
    return f"{clocks['latency']:,} clocks", note

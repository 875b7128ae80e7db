"""The firmware's resources, clocks and timing as the page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from trigger_ml.core.documents.resources import TOTAL, ResourceFigure, Resources, TimingFigure
from trigger_ml.report import formatting
from trigger_ml.report.reading import firmware_clocks, firmware_figure

__all__ = ["Tables", "firmware_tables", "latency_tile", "lut_tile", "not_run"]

PROJECTS = {"rtl": "RTL project", "hls": "HLS project"}
RESOURCES = {"lut": "LUT", "ff": "FF", "bram": "BRAM", "dsp": "DSP"}


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


def _amount(figure: ResourceFigure, name: str) -> str:
    text = formatting.number(getattr(figure, name))
    if figure.lut_low is not None and name == "lut":
        text += f" ({figure.lut_low:,} to {figure.lut_high:,})"
    return text


def _share(figure: ResourceFigure) -> str:
    found = figure.lut_percent
    return formatting.DASH if found is None else f"{formatting.number(found, 2)} %"


def _source(figure: ResourceFigure) -> str:
    return figure.source + ("" if figure.part is None else f", part {figure.part}")


def _layers(figures: Sequence[ResourceFigure]) -> tuple[list[str], list[list[str]]]:
    found = [figure for figure in figures if figure.layer != TOTAL]
    sources = list(dict.fromkeys(figure.source for figure in found))
    known = {(figure.layer, figure.source): figure for figure in found}
    rows = []
    for layer in dict.fromkeys(figure.layer for figure in found):
        cells = [known.get((layer, source)) for source in sources]
        rows.append([layer, *(formatting.number(x) for c in cells for x in (c and c.lut, c and c.ff))])
    headings = [f"{amount}, {source}" for source in sources for amount in ("LUT", "FF")]
    return ["Layer", *headings], rows


def _timing(entry: TimingFigure) -> list[str]:
    value = slack = formatting.DASH
    if entry.fmax_mhz is not None:
        value = f"{formatting.number(entry.fmax_mhz)} MHz"
    elif entry.arrival_ns is not None:
        value = f"{formatting.number(entry.arrival_ns)} ns"
    if entry.slack_ns is not None:
        slack = f"{entry.slack_ns:+.2f} ns".replace("-", "−")
    return [entry.source, entry.kind, value, slack, entry.note or ""]


def firmware_tables(resources: Resources) -> list[Tables]:
    """Tables of each project in ``resources.json``."""
    tables = []
    for name, project in resources.projects.items():
        title, figures = PROJECTS[name], project.figures
        headings, layers = _layers(figures)
        tables.append(
            Tables(
                title,
                project.part.name,
                f"{formatting.number(project.clock_period_ns)} ns",
                [
                    [_source(f), _amount(f, "lut"), _share(f)]
                    + [_amount(f, key) for key in ("ff", "bram", "dsp")]
                    + [f.tool]
                    for f in figures
                    if f.layer == TOTAL
                ],
                [
                    [c.source, formatting.count(c.interval), formatting.count(c.latency), c.tool]
                    for c in project.clocks
                ],
                [_timing(entry) for entry in project.timing],
                headings,
                layers,
            )
        )
    return tables


def not_run(resources: Resources) -> list[str]:
    """What was not measured of each project, and why."""
    return [
        f"{PROJECTS[name]}, {entry.source}: {entry.reason}"
        for name, project in resources.projects.items()
        for entry in project.not_run
    ]


def lut_tile(resources: Resources) -> tuple[str, str] | None:
    """Value and note of the lookup tables; None where they are not known."""
    found = firmware_figure(resources)
    if found is None:
        return None
    figure, project = found
    note = figure.source
    if figure.lut_percent is not None:
        note += f"; {_share(figure)} of {project.part.device}"
    return formatting.count(figure.lut), note


def latency_tile(resources: Resources) -> tuple[str, str] | None:
    """Value and note of the latency; None where it is not known."""
    found = firmware_clocks(resources)
    if found is None:
        return None
    clocks, project = found
    period = project.clock_period_ns
    note = (
        f"{clocks.source}; a result every {clocks.interval:,}; "
        f"{formatting.duration(1e-9 * clocks.latency * period)} "
        f"at the {formatting.number(period)} ns asked for"
    )
    return f"{clocks.latency:,} clocks", note

"""What the sources of ``resources.json`` found, each figure beside its source.

A figure that a tool did not give is absent, never zero. Within a project the figures, the clocks and the
timings are ordered from prediction to implementation: the last one that holds a value is the one to quote.
The layout is described in ``docs/rtl.md``.
"""

from collections.abc import Mapping
from dataclasses import replace

from trigger_ml import __version__
from trigger_ml.core.documents.resources import (
    TOTAL,
    Clocks,
    Device,
    NotRun,
    Project,
    ResourceFigure,
    TimingFigure,
)
from trigger_ml.core.errors import MappingError, VerificationError
from trigger_ml.firmware.cost.prediction import SOURCE, Prediction
from trigger_ml.firmware.cost.synthesis import Cost, Part, Synthesis, part_named

__all__ = ["ARRIVAL", "found_of", "known_part", "predicted", "require_equal_clocks", "synthesized"]

ARRIVAL = "pre-route arrival"


def _share(used: float | None, available: float) -> float | None:
    return None if used is None or not available else round(100 * used / available, 3)


def _with_shares(figure: ResourceFigure, part: Part | None) -> ResourceFigure:
    """A figure with its shares of the part that it is for, where that part is known."""
    held = part if figure.part is None else known_part(figure.part)
    if held is None:
        return figure
    return replace(
        figure,
        lut_percent=_share(figure.lut, held.lut),
        ff_percent=_share(figure.ff, held.ff),
        bram_percent=_share(figure.bram, held.bram),
        dsp_percent=_share(figure.dsp, held.dsp),
    )


def found_of(
    part: str,
    period: float,
    figures: tuple[ResourceFigure, ...] = (),
    clocks: tuple[Clocks, ...] = (),
    timing: tuple[TimingFigure, ...] = (),
    not_run: tuple[NotRun, ...] = (),
    predicted_lut_error: float | None = None,
) -> Project:
    """What a source found of a project.

    Parameters
    ----------
    part : str
        Ordering code.
    period : float
        Clock asked for, in nanoseconds.
    figures : tuple of ResourceFigure
        Their shares of the part are put in where the part is known.
    clocks : tuple of Clocks
    timing : tuple of TimingFigure
    not_run : tuple of NotRun
    predicted_lut_error : float, optional
        Relative error that the prediction allows for.
    """
    known = known_part(part)
    device = Device(part)
    if known is not None:
        device = Device(part, known.name, known.family, known.lut, known.ff, known.bram, known.dsp)
    shared = tuple(_with_shares(figure, known) for figure in figures)
    return Project(device, period, shared, clocks, timing, not_run, predicted_lut_error)


def known_part(name: str) -> Part | None:
    """Part of an ordering code; None if its resources are not in the table."""
    try:
        return part_named(name)
    except MappingError:
        return None


def _figures(costs: Mapping[str, Cost], source: str, tool: str) -> tuple[ResourceFigure, ...]:
    return tuple(
        ResourceFigure(
            layer,
            source,
            tool,
            lut=cost.lut,
            ff=cost.ff,
            bram=cost.bram,
            dsp=cost.dsp,
            lut_memory=cost.lut_memory,
        )
        for layer, cost in costs.items()
    )


def predicted(prediction: Prediction, part: str, period: float) -> Project:
    """What is known before any tool has run."""
    tool = f"trigger-ml {__version__}"
    total, *layers = _figures({TOTAL: prediction.total, **prediction.modules}, SOURCE, tool)
    low, high = prediction.lut_interval
    clocks = prediction.timing
    return found_of(
        part,
        period,
        (replace(total, lut_low=low, lut_high=high), *layers),
        (Clocks("clock model", tool, clocks.interval, clocks.latency),),
        predicted_lut_error=prediction.error,
    )


def synthesized(result: Synthesis, source: str, part: str, period: float) -> Project:
    """What a logic synthesis found."""
    costs = {TOTAL: result.total, **result.modules}
    figures = tuple(
        replace(figure, carry=costs[figure.layer].carry) for figure in _figures(costs, source, result.tool)
    )
    timing: tuple[TimingFigure, ...] = ()
    if result.arrival is not None:
        note = "cell delays of the 7-series on the longest path; no placement, no routing"
        if result.untimed:
            note += f"; paths through {', '.join(result.untimed)} are not counted"
        slack = round(period - result.arrival, 3)
        timing = (TimingFigure(source, result.tool, ARRIVAL, result.arrival, slack, note=note),)
    return found_of(part, period, figures, timing=timing)


def require_equal_clocks(model: Clocks, measured: Clocks) -> None:
    """Raise if a simulation does not take the clocks that were predicted.

    Raises
    ------
    VerificationError
        Naming both.
    """
    for name in ("interval", "latency"):
        said, found = getattr(model, name), getattr(measured, name)
        if said != found:
            raise VerificationError(
                f"RTL simulation, {name}",
                f"{found} clocks instead of the {said} of the {model.source}",
                "Report it with the network's file: FIFO sizes follow from the model",
            )

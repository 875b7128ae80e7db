"""``resources.json``: what the firmware costs and how long it takes, each figure beside its source.

A figure that a tool did not give is absent, never zero. Within a project the figures, the clocks and the
timings are ordered from prediction to implementation: the last one that holds a value is the one to quote.
The layout is described in ``docs/rtl.md``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from trigger_ml import __version__
from trigger_ml.core.documents.resources import TOTAL, Clocks, NotRun, TimingFigure
from trigger_ml.core.errors import MappingError, VerificationError
from trigger_ml.firmware.cost.prediction import SOURCE, Prediction
from trigger_ml.firmware.cost.synthesis import Cost, Part, Synthesis, part_named

__all__ = [
    "ARRIVAL", "Figure", "ProjectResources", "known_part", "predicted", "require_equal_clocks",
    "synthesized",
]  # fmt: skip

SCHEMA = 1
ARRIVAL = "pre-route arrival"
RESOURCES = ("lut", "ff", "bram", "dsp")


def _given(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if value is not None}


@dataclass(frozen=True)
class Figure:
    """Resources of a layer, or of the whole design.

    Parameters
    ----------
    layer : str
        Module of the layer; ``total`` for the whole design.
    source, tool : str
        Method (``synthesis: yosys``), and the program with its version.
    lut, ff, bram, dsp : number, optional
        Lookup tables, registers, memory blocks (of 36 kbit; ECP5: 18 kbit), multipliers.
    lut_memory, carry : int, optional
        Lookup tables used as memory or shift register (a part of ``lut``); carry cells.
    lut_low, lut_high : int, optional
        Interval of a prediction.
    part : str, optional
        Part that the figure is for, where it is not the project's.
    """

    layer: str
    source: str
    tool: str
    lut: int | None = None
    ff: int | None = None
    bram: float | None = None
    dsp: int | None = None
    lut_memory: int | None = None
    carry: int | None = None
    lut_low: int | None = None
    lut_high: int | None = None
    part: str | None = None


@dataclass(frozen=True)
class ProjectResources:
    """All that is known of one project.

    Parameters
    ----------
    part : str
        Ordering code.
    clock_period : float
        Clock asked for, in nanoseconds.
    figures : tuple of Figure
    clocks : tuple of Clocks
    timing : tuple of TimingFigure
    not_run : tuple of NotRun
    predicted_lut_error : float, optional
        Relative error that the prediction allows for.
    """

    part: str
    clock_period: float
    figures: tuple[Figure, ...] = ()
    clocks: tuple[Clocks, ...] = ()
    timing: tuple[TimingFigure, ...] = ()
    not_run: tuple[NotRun, ...] = ()
    predicted_lut_error: float | None = None

    def __add__(self, other: "ProjectResources") -> "ProjectResources":
        """With what another source found of the same project."""
        return replace(
            self,
            figures=self.figures + other.figures,
            clocks=self.clocks + other.clocks,
            timing=self.timing + other.timing,
            not_run=self.not_run + other.not_run,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON; with the share of the part where the part is known."""
        part = known_part(self.part)

        def figure(found: Figure) -> dict[str, Any]:
            content = _given(asdict(found))
            held = part if found.part is None else known_part(found.part)
            for name in RESOURCES if held is not None else ():
                used, available = getattr(found, name), getattr(held, name)
                if used is not None and available:
                    content[f"{name}_percent"] = round(100 * used / available, 3)
            return content

        content: dict[str, Any] = {
            "part": {"name": self.part, **({} if part is None else {"device": part.name, **_holds(part)})},
            "clock_period_ns": self.clock_period,
            "figures": [figure(f) for f in self.figures],
            "clocks": [_given(asdict(c)) for c in self.clocks],
            "timing": [_given(asdict(t)) for t in self.timing],
            "not_run": [_given(asdict(n)) for n in self.not_run],
        }
        if self.predicted_lut_error is not None:
            content["predicted_lut_error"] = self.predicted_lut_error
        return content


def _holds(part: Part) -> dict[str, Any]:
    return {"family": part.family, **{name: getattr(part, name) for name in RESOURCES}}


def known_part(name: str) -> Part | None:
    """Part of an ordering code; None if its resources are not in the table."""
    try:
        return part_named(name)
    except MappingError:
        return None


def _figures(costs: Mapping[str, Cost], source: str, tool: str) -> tuple[Figure, ...]:
    return tuple(
        Figure(
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


def predicted(prediction: Prediction, part: str, period: float) -> ProjectResources:
    """What is known before any tool has run."""
    tool = f"trigger-ml {__version__}"
    total, *layers = _figures({TOTAL: prediction.total, **prediction.modules}, SOURCE, tool)
    low, high = prediction.lut_interval
    clocks = prediction.timing
    return ProjectResources(
        part,
        period,
        (replace(total, lut_low=low, lut_high=high), *layers),
        (Clocks("clock model", tool, clocks.interval, clocks.latency),),
        predicted_lut_error=prediction.error,
    )


def synthesized(result: Synthesis, source: str, part: str, period: float) -> ProjectResources:
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
    return ProjectResources(part, period, figures, timing=timing)


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

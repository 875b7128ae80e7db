"""``resources.json``: what the firmware costs and how long it takes, each figure beside its source.

`trigger_ml.firmware.cost.resources` fills it; the layout is described in ``docs/rtl.md``. A figure that a
tool did not give is None, never zero.
"""

from dataclasses import dataclass, replace

from trigger_ml.core.documents.base import Kind

__all__ = [
    "RESOURCES", "TOTAL", "Clocks", "Device", "NotRun", "Project", "ResourceFigure", "Resources",
    "TimingFigure",
]  # fmt: skip

TOTAL = "total"
"""The layer that stands for the whole design."""


@dataclass(frozen=True)
class Device:
    """The part of a project: its ordering code, and what it holds where it is known."""

    name: str
    device: str | None = None
    family: str | None = None
    lut: int | float | None = None
    ff: int | float | None = None
    bram: int | float | None = None
    dsp: int | float | None = None


@dataclass(frozen=True)
class ResourceFigure:
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
    lut_percent, ff_percent, bram_percent, dsp_percent : float, optional
        Shares of the part.
    """

    layer: str
    source: str
    tool: str
    lut: int | None = None
    ff: int | None = None
    bram: int | float | None = None
    dsp: int | None = None
    lut_memory: int | None = None
    carry: int | None = None
    lut_low: int | None = None
    lut_high: int | None = None
    part: str | None = None
    lut_percent: float | None = None
    ff_percent: float | None = None
    bram_percent: float | None = None
    dsp_percent: float | None = None


@dataclass(frozen=True)
class Clocks:
    """Clocks between results (``interval``, II) and from a frame's first beat to its result (``latency``)."""

    source: str
    tool: str
    interval: int
    latency: int
    frames: int | None = None
    """Frames simulated."""


@dataclass(frozen=True)
class TimingFigure:
    """What a tool says of the clock; nanoseconds and MHz.

    Parameters
    ----------
    source, tool : str
    kind : str
        ``pre-route arrival``, ``post-synthesis slack``, ``post-route slack`` or ``post-route fmax``.
    arrival_ns : float, optional
        Delay of the longest path between registers.
    slack_ns : float, optional
        Against the clock asked for; negative where it is missed.
    fmax_mhz : float, optional
    note : str
        What the figure leaves out.
    """

    source: str
    tool: str
    kind: str
    arrival_ns: float | None = None
    slack_ns: float | None = None
    fmax_mhz: float | None = None
    note: str | None = None


@dataclass(frozen=True)
class NotRun:
    """A source without figures, and why; ``tool`` is the key of a vendor's tool that is absent."""

    source: str
    reason: str
    tool: str | None = None


@dataclass(frozen=True)
class Project:
    """All that is known of one project, each list from prediction to implementation.

    Parameters
    ----------
    part : Device
    clock_period_ns : float
        Asked for.
    figures : tuple of ResourceFigure
    clocks : tuple of Clocks
    timing : tuple of TimingFigure
    not_run : tuple of NotRun
    predicted_lut_error : float, optional
        Relative error that the prediction allows for.
    """

    part: Device
    clock_period_ns: float
    figures: tuple[ResourceFigure, ...]
    clocks: tuple[Clocks, ...]
    timing: tuple[TimingFigure, ...]
    not_run: tuple[NotRun, ...]
    predicted_lut_error: float | None = None

    def __add__(self, other: "Project") -> "Project":
        """With what another source found of the same project."""
        return replace(
            self,
            figures=self.figures + other.figures,
            clocks=self.clocks + other.clocks,
            timing=self.timing + other.timing,
            not_run=self.not_run + other.not_run,
        )


@dataclass(frozen=True)
class Resources:
    """The RTL and the HLS project; None where a run has none."""

    rtl: Project | None = None
    hls: Project | None = None

    @property
    def projects(self) -> dict[str, Project]:
        """Those that there are, by name, the one whose figures count before the other."""
        return {name: found for name, found in (("rtl", self.rtl), ("hls", self.hls)) if found is not None}


RESOURCES = Kind(Resources, "list of resources", 1, "synthesize")

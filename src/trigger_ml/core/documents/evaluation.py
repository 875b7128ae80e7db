"""``evaluation.json``: any number of models on the same events, against one reference."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trigger_ml.core.documents.base import Kind
from trigger_ml.core.documents.details import Cells, Details
from trigger_ml.core.documents.earlier import from_first
from trigger_ml.core.documents.estimates import Estimate, Pair, Quantity
from trigger_ml.core.documents.robustness import Robustness

__all__ = [
    "COMPRESSED", "EVALUATION", "FLOAT", "GIVEN", "Bins", "Cuts", "Evaluation", "EventCounts",
    "FairReference", "Given", "Inference", "Response", "Settings",
]  # fmt: skip

FLOAT = "float"
COMPRESSED = "compressed"
"""The names that a run gives to the model it trained, and to what compression made of it."""


@dataclass(frozen=True)
class EventCounts:
    """Numbers of events and showers, used and left out.

    Parameters
    ----------
    given, used, gamma, hadron, showers : int
        The last four of the events judged.
    dropped : mapping of str to int
        By reason.
    weighted : bool
    outside_bins : int, optional
        Events in no energy bin.
    """

    given: int
    used: int
    gamma: int
    hadron: int
    showers: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    weighted: bool = False
    outside_bins: int | None = None


@dataclass(frozen=True)
class Settings:
    """Resamples, content of the intervals, and operating points."""

    bootstrap: int
    confidence: float
    seed: int
    gamma_efficiency: float
    fixed_threshold: float
    min_showers: int | None = None


@dataclass(frozen=True)
class Bins:
    """Energy bins.

    Parameters
    ----------
    edges : tuple of float
        TeV.
    by : str
        What is binned: ``true``, ``light`` or ``reconstructed``.
    label : str
        The same in words.
    """

    edges: tuple[float, ...]
    by: str = "true"
    label: str = "True energy"


@dataclass(frozen=True)
class Cuts:
    """Cuts of a model in each energy bin: logit, and degrees; ``migration`` of the gammas that pass."""

    score_cut: tuple[float, ...]
    theta_cut: tuple[float, ...]
    migration: Cells | None = None


@dataclass(frozen=True)
class Response:
    """Instrument response, or the ``reason`` why there is none.

    Parameters
    ----------
    reason : str
    level : str
        ``trigger`` or ``reconstructed``.
    energy : str
        Of background and sensitivity, as `Bins.by`.
    notes : tuple of str
    observation_hours : float, optional
    comparisons : mapping of str to Pair
        Of each model but the reference.
    models : mapping of str to Cuts
    """

    reason: str = ""
    level: str = ""
    energy: str = ""
    notes: tuple[str, ...] = ()
    observation_hours: float | None = None
    comparisons: Mapping[str, Pair] = field(default_factory=dict)
    models: Mapping[str, Cuts] = field(default_factory=dict)


@dataclass(frozen=True)
class FairReference:
    """The float model that had as much training as the compressed one.

    Parameters
    ----------
    model : str
    plateau : bool or None
        Whether the float model was at its best; None where nothing is known.
    why : str
        How that is known, in words.
    """

    model: str
    plateau: bool | None
    why: str


@dataclass(frozen=True)
class Given:
    """What a model that the user brought is worth by its own framework, on its own input and on counts."""

    file: str
    framework: str
    input: str
    measure: str
    own: Estimate
    counts: Estimate
    events: int | None = None
    difference: Estimate | None = None
    units: Mapping[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class Inference:
    """Seconds that a model took for all events."""

    seconds: float
    events: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Parameters
    ----------
    task : str
    reference : str
        The model that all others are compared with in energy bins, curves and response.
    events : EventCounts
    settings : Settings
    energy_bins : Bins
    quantities : mapping of str to Quantity
        Figures of merit by name.
    comparisons : mapping of str to mapping of str to Pair
        By reference, then by model: that of ``reference``, and of further ones over all events alone.
    details : Details
    irf : Response, optional
        None where it was not asked for.
    flags : tuple of str
        What a reader must know before using the numbers.
    fair_reference : FairReference, optional
    not_judged : mapping of str to str
        Why a model that a run usually has is missing.
    given : Given, optional
    robustness : Robustness, optional
    inference : mapping of str to Inference
    """

    task: str
    reference: str
    events: EventCounts
    settings: Settings
    energy_bins: Bins
    quantities: Mapping[str, Quantity]
    comparisons: Mapping[str, Mapping[str, Pair]]
    details: Details = field(default_factory=Details)
    irf: Response | None = None
    flags: tuple[str, ...] = ()
    fair_reference: FairReference | None = None
    not_judged: Mapping[str, str] = field(default_factory=dict)
    given: Given | None = None
    robustness: Robustness | None = None
    inference: Mapping[str, Inference] = field(default_factory=dict)

    def pair(self, model: str = COMPRESSED) -> Pair:
        """A model against the reference.

        Raises
        ------
        KeyError
            If it was not judged.
        """
        return self.comparisons[self.reference][model]

    def response(self, model: str = COMPRESSED) -> Pair:
        """The response of a model against the reference's; empty where there is none."""
        empty = Pair({})
        return empty if self.irf is None else self.irf.comparisons.get(model, empty)

    @property
    def others(self) -> tuple[str, ...]:
        """Models beside the reference that others are compared with too."""
        return tuple(name for name in self.comparisons if name != self.reference)


GIVEN = Kind(Given, "account of a given model", 1, "train")
EVALUATION = Kind(Evaluation, "evaluation", 2, "evaluate", {1: from_first})

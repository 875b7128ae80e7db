"""Curves, distributions and tables of the single models of an evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trigger_ml.core.documents.estimates import Comparison, Estimate

__all__ = [
    "CalibrationBin", "Cells", "Confusion", "Containment", "Decisions", "Density", "Details", "Flips",
    "GammanessHistogram", "LightQuality", "ModelDetails", "OperatingPoint", "OutputDifference", "Roc",
    "ThresholdOf",
]  # fmt: skip

type ByClass = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Roc:
    """A ROC curve, thinned; the logit is None where nothing is kept."""

    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    logit: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Density:
    """A histogram of one class: events, and weighted density."""

    events: tuple[int, ...]
    density: tuple[float, ...]


@dataclass(frozen=True)
class GammanessHistogram:
    """Distribution of gammaness by class."""

    edges: tuple[float, ...]
    gamma: Density
    hadron: Density


@dataclass(frozen=True)
class CalibrationBin:
    """Fraction of gammas in a bin of gammaness."""

    low: float
    high: float
    mean: float | None
    events: int
    fraction: Estimate


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix: rows are the truth (gamma, hadron), columns the decision (gamma, hadron).

    Parameters
    ----------
    events : tuple of tuple of int
    weighted : tuple of tuple of float
    rates : tuple of tuple of float
        Within each true class; None for a class without events.
    """

    events: tuple[tuple[int, ...], ...]
    weighted: tuple[tuple[float, ...], ...]
    rates: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Cells:
    """Events in square cells.

    Parameters
    ----------
    edges : tuple of float
        Of both axes.
    events : tuple of tuple of int
    outside : int
        Events beyond the edges.
    """

    edges: tuple[float, ...]
    events: tuple[tuple[int, ...], ...]
    outside: int = 0


@dataclass(frozen=True)
class Containment:
    """Fraction of events within an angle (degrees) of the truth."""

    angle: tuple[float, ...]
    fraction: tuple[Estimate, ...]


@dataclass(frozen=True)
class ModelDetails:
    """What is kept of one model; which parts, follows from the task.

    Parameters
    ----------
    roc, gammaness, calibration, confusion
        Of a classifier.
    migration : Cells, optional
        Rows are true, columns reconstructed energies in TeV.
    reconstructed : mapping of str to tuple of Estimate
        Figures of merit in bins of reconstructed energy.
    containment : Containment, optional
    density : Cells, optional
        Degrees around the pointing: rows latitude, columns longitude.
    """

    roc: Roc | None = None
    gammaness: GammanessHistogram | None = None
    calibration: tuple[CalibrationBin, ...] = ()
    confusion: Confusion | None = None
    migration: Cells | None = None
    reconstructed: Mapping[str, tuple[Estimate, ...]] = field(default_factory=dict)
    containment: Containment | None = None
    density: Cells | None = None


@dataclass(frozen=True)
class OutputDifference:
    """Distribution of a model's output minus the reference's.

    Parameters
    ----------
    mean, rms, max_abs : float
    percentiles : mapping of str to float
    correlation : float or None
        None where one of them is constant.
    """

    mean: float
    rms: float
    max_abs: float
    percentiles: Mapping[str, float]
    correlation: float | None


@dataclass(frozen=True)
class ThresholdOf:
    """Where a rule puts a model's threshold: one value, or one for each energy bin; None where undefined."""

    logit: tuple[float | None, ...]
    gammaness: tuple[float | None, ...]
    false_positive_rate: float | None = None


@dataclass(frozen=True)
class Flips:
    """Events that change side: kept by the reference alone (lost), or by the model alone (gained)."""

    events: int
    lost: int
    gained: int
    fraction: Estimate


@dataclass(frozen=True)
class Decisions:
    """What a model decides otherwise than the reference, each at its own threshold.

    Parameters
    ----------
    metrics : mapping of str to Comparison
    flips : mapping of str to Flips
        For ``all``, ``gamma`` and ``hadron``.
    """

    metrics: Mapping[str, Comparison]
    flips: Mapping[str, Flips]


@dataclass(frozen=True)
class OperatingPoint:
    """A rule that sets thresholds.

    Parameters
    ----------
    label : str
    models : mapping of str to ThresholdOf
    comparisons : mapping of str to Decisions
        Of each model but the reference.
    """

    label: str
    models: Mapping[str, ThresholdOf]
    comparisons: Mapping[str, Decisions]


@dataclass(frozen=True)
class LightQuality:
    """How good an energy the light alone gives.

    Parameters
    ----------
    gammas, gammas_without : int
        With an energy, and without.
    overall : mapping of str to Estimate
        ``energy_bias`` and ``energy_resolution``, relative.
    true, light : mapping of str to tuple of Estimate
        The same in bins of true energy, and of the estimate.
    """

    gammas: int = 0
    gammas_without: int = 0
    overall: Mapping[str, Estimate] = field(default_factory=dict)
    true: Mapping[str, tuple[Estimate, ...]] = field(default_factory=dict)
    light: Mapping[str, tuple[Estimate, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Details:
    """Curves, distributions and tables.

    Parameters
    ----------
    models : mapping of str to ModelDetails
    output_differences : mapping of str to OutputDifference
        Of classifiers, by model.
    operating_points : mapping of str to OperatingPoint
        By name of the rule.
    energy_distribution : mapping of str to tuple of int, optional
        Events in each energy bin, by class.
    reconstructed_distribution : mapping of str to mapping, optional
        The same by reconstructed energy, by model.
    true_density : Cells, optional
        As the models' ``density``, of true directions.
    light : LightQuality, optional
    """

    models: Mapping[str, ModelDetails] = field(default_factory=dict)
    output_differences: Mapping[str, OutputDifference] = field(default_factory=dict)
    operating_points: Mapping[str, OperatingPoint] = field(default_factory=dict)
    energy_distribution: ByClass | None = None
    reconstructed_distribution: Mapping[str, ByClass] | None = None
    true_density: Cells | None = None
    light: LightQuality | None = None

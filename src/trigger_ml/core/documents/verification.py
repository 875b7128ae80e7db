"""``verification.json``: events and mismatches of every backend."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trigger_ml.core.documents.base import Kind

__all__ = ["VERIFICATION", "AgainstFloat", "Backend", "FirstDifference", "LayerBound", "Verification"]


@dataclass(frozen=True)
class FirstDifference:
    """Where a backend first differs (see `trigger_ml.firmware.verify.Difference`)."""

    backend: str
    layer: str
    event: str
    element: tuple[int, ...]
    expected: int | str | None
    found: int | str | None
    expected_type: str
    found_type: str
    note: str = ""


@dataclass(frozen=True)
class Backend:
    """Outcome of one backend.

    Parameters
    ----------
    mismatches : int
    events : int
    corner_inputs : int, optional
    difference : FirstDifference, optional
    disturbance : mapping of str to float, optional
        Of a simulation of hardware, as probabilities per clock.
    """

    mismatches: int
    events: int = 0
    corner_inputs: int | None = None
    difference: FirstDifference | None = None
    disturbance: Mapping[str, int | float] | None = None


@dataclass(frozen=True)
class LayerBound:
    """The proof that a layer is exact in float32."""

    layer: str
    op: str
    bound: int
    limit: int
    exact: bool


@dataclass(frozen=True)
class AgainstFloat:
    """Firmware minus float (see `trigger_ml.firmware.float_comparison.FloatComparison`)."""

    source: str
    events: int
    mean: float | None = None
    rms: float | None = None
    maximum: float | None = None
    percentiles: Mapping[str, float] = field(default_factory=dict)
    correlation: float | None = None
    gamma_efficiency: float | None = None
    flips: int | None = None
    flips_same_threshold: int | None = None
    auc: float | None = None
    auc_float: float | None = None


@dataclass(frozen=True)
class Verification:
    """What the comparison of the backends found.

    Parameters
    ----------
    backends : mapping of str to Backend
    events, corner_inputs : int, optional
        Test events, and inputs made to provoke.
    exact_float32 : bool, optional
        Whether every layer is proven exact in float32.
    proof : tuple of LayerBound
    against_float : mapping of str to AgainstFloat
        By output.
    """

    backends: Mapping[str, Backend]
    events: int | None = None
    corner_inputs: int | None = None
    exact_float32: bool | None = None
    proof: tuple[LayerBound, ...] = ()
    against_float: Mapping[str, AgainstFloat] = field(default_factory=dict)


VERIFICATION = Kind(Verification, "list of mismatches", 1, "verify", explicit=True)

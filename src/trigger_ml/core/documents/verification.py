"""``verification.json``: events and mismatches of every backend."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trigger_ml.core.documents.base import Kind

__all__ = [
    "VERIFICATION",
    "AgainstFloat",
    "BackendResult",
    "Difference",
    "LayerBound",
    "RandomInputs",
    "Verification",
]


@dataclass(frozen=True)
class Difference:
    """The first place where a backend differs from the interpreter.

    Parameters
    ----------
    backend : str
    layer : str
        First layer, in the order of the network, whose output differs.
    event : str
        Event id, or name of the corner input.
    element : tuple of int
        Position in the layer's output; empty if a stored weight differs.
    expected, found : int, str or None
        Integers of the interpreter and of the backend; for a weight, what is stored.
    expected_type, found_type : str
    note : str
        What else there is to know.
    """

    backend: str
    layer: str
    event: str
    element: tuple[int, ...]
    expected: int | str | None
    found: int | str | None
    expected_type: str
    found_type: str
    note: str = ""

    def __str__(self) -> str:
        if not self.element:
            return f"{self.backend}, layer {self.layer}: {self.note}"
        return (
            f"{self.backend} first differs in layer {self.layer}{list(self.element)} at event {self.event}: "
            f"{self.found} ({self.found_type}) instead of {self.expected} ({self.expected_type})"
        )


@dataclass(frozen=True)
class BackendResult:
    """Outcome of one backend.

    Parameters
    ----------
    mismatches : int
        Events and corner inputs with any bit of any output different, plus stored constants that differ.
    events : int
    corner_inputs : int, optional
    difference : Difference, optional
        The first one.
    disturbance : mapping of str to float, optional
        Of a simulation of hardware: gaps, stalls and resets, as probabilities per clock; all zero for
        inputs back to back.
    """

    mismatches: int
    events: int = 0
    corner_inputs: int | None = None
    difference: Difference | None = None
    disturbance: Mapping[str, int | float] | None = None


@dataclass(frozen=True)
class RandomInputs:
    """Random and corner inputs that went through two independent exact engines.

    Parameters
    ----------
    inputs : int
    mismatches : int
        Inputs on which they differ in any bit of any output.
    engines : tuple of str
    difference : Difference, optional
        The first one, of the engine that is not the interpreter's.
    """

    inputs: int
    mismatches: int
    engines: tuple[str, ...]
    difference: Difference | None = None


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
    """Firmware minus float, event by event.

    Parameters
    ----------
    source : str
        Where the firmware's logits come from.
    events : int
    mean, rms, maximum : float, optional
        Of the logit difference; ``rms`` about zero, ``maximum`` of its absolute value.
    percentiles : mapping of str to float
        Of the difference.
    correlation : float, optional
        Pearson's, of the two logits; None if one is constant.
    gamma_efficiency : float, optional
        Of the operating point.
    flips : int, optional
        Events accepted by one and rejected by the other, each cut where it keeps that fraction of the
        gammas; None without labels of both classes.
    flips_same_threshold : int, optional
        The same with the float model's threshold for both.
    auc, auc_float : float, optional
        Area under the ROC curve on these events.
    """

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
    backends : mapping of str to BackendResult
    events, corner_inputs : int, optional
        Test events, and inputs made to provoke.
    exact_float32 : bool, optional
        Whether every layer is proven exact in float32.
    proof : tuple of LayerBound
        Bound of the partial sums of each layer.
    against_float : mapping of str to AgainstFloat
        By output; of the backend named in it against the float model.
    random_inputs : RandomInputs, optional
        None where they were not sent.
    """

    backends: Mapping[str, BackendResult]
    events: int | None = None
    corner_inputs: int | None = None
    exact_float32: bool | None = None
    proof: tuple[LayerBound, ...] = ()
    against_float: Mapping[str, AgainstFloat] = field(default_factory=dict)
    random_inputs: RandomInputs | None = None

    @property
    def mismatches(self) -> int:
        """Over all backends, and between the two that got random inputs."""
        random = 0 if self.random_inputs is None else self.random_inputs.mismatches
        return sum(result.mismatches for result in self.backends.values()) + random


VERIFICATION = Kind(Verification, "list of mismatches", 1, "verify", explicit=True)

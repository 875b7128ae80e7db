"""``model/model.json``: layers, sizes, sparsity and trainings of the float and the compressed model."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trigger_ml.core.documents.base import Kind

__all__ = [
    "CONSTANT", "FLOAT_HISTORY", "MODEL_SUMMARY", "BudgetVerdict", "Ending", "EventSplit", "FloatHistory",
    "History", "LayerFacts", "LayerSparsity", "ModelBytes", "ModelFacts", "ModelSummary", "StepFacts",
]  # fmt: skip


CONSTANT = "the compressed network says the same of every event: nothing can be told by it"
"""What is said of a network that ended constant."""


@dataclass(frozen=True)
class LayerFacts:
    """A layer of a Keras model."""

    name: str
    type: str = ""
    output_shape: str = ""
    parameters: int | None = None


@dataclass(frozen=True)
class LayerSparsity:
    """Weights of a layer that are zero.

    Parameters
    ----------
    layer : str
    weights : int
    sparsity : float
        Fraction of zeros that is measured.
    asked : float, optional
        By the configuration.
    pruned, rounded : int, optional
        Zero by pruning, and by rounding.
    bits : int, optional
    """

    layer: str
    weights: int
    sparsity: float
    asked: float | None = None
    pruned: int | None = None
    rounded: int | None = None
    bits: int | None = None


@dataclass(frozen=True)
class ModelBytes:
    """Sizes in bytes: as float32, after gzip, and packed without zeros; None where unknown."""

    dense: int | None = None
    gzip: int | None = None
    packed: int | None = None


@dataclass(frozen=True)
class Ending:
    """Which rule ended a training (see `trigger_ml.models.schedule.Ending`)."""

    by: str
    plateau: bool | None
    gain: float | None
    tolerance: float
    window: int
    full_epochs: int = 0


@dataclass(frozen=True)
class History:
    """A training.

    Parameters
    ----------
    epochs_planned, epochs_run : int
    best_epoch : int, optional
    seconds : float, optional
    metrics : mapping of str to tuple of float
        After each epoch.
    ending : Ending, optional
    """

    epochs_planned: int
    epochs_run: int
    best_epoch: int | None = None
    seconds: float | None = None
    metrics: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    ending: Ending | None = None


@dataclass(frozen=True)
class StepFacts:
    """A step of the compression: what the model was after it, and its training where it had one."""

    name: str
    sparsity: float | None = None
    val_loss: float | None = None
    history: History | None = None


@dataclass(frozen=True)
class BudgetVerdict:
    """Whether a network is within its budget: the quantities asked and found by name, and that in words."""

    asked: Mapping[str, int]
    found: Mapping[str, int]
    met: bool
    says: str


@dataclass(frozen=True)
class ModelFacts:
    """One model; None where a number is not known.

    Parameters
    ----------
    parameters, weights, nonzero_weights, n_layers, macs, macs_nonzero : int, optional
    gflops : float, optional
    bit_operations : int, optional
        Bits of the weight times bits of the activation, over the multiplications.
    bytes : ModelBytes
    layers : tuple of LayerFacts
    history, pruning_history : History, optional
    sparsity : float, optional
        Of all weights, measured.
    sparsity_by_layer : tuple of LayerSparsity
    steps : tuple of StepFacts
        Of the compression.
    constant : bool, optional
        Whether the model says the same of all events.
    budget : BudgetVerdict, optional
    """

    parameters: int | None = None
    weights: int | None = None
    nonzero_weights: int | None = None
    n_layers: int | None = None
    layers: tuple[LayerFacts, ...] = ()
    macs: int | None = None
    macs_nonzero: int | None = None
    gflops: float | None = None
    bytes: ModelBytes = field(default_factory=ModelBytes)
    history: History | None = None
    pruning_history: History | None = None
    sparsity: float | None = None
    sparsity_by_layer: tuple[LayerSparsity, ...] = ()
    bit_operations: int | None = None
    steps: tuple[StepFacts, ...] = ()
    constant: bool | None = None
    budget: BudgetVerdict | None = None


@dataclass(frozen=True)
class EventSplit:
    """Events of a run by what they are for, and those left out by reason."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSummary:
    """Both models of a run; empty where nothing is known."""

    events: EventSplit = field(default_factory=EventSplit)
    float: ModelFacts = field(default_factory=ModelFacts)
    compressed: ModelFacts = field(default_factory=ModelFacts)

    def of(self, model: str) -> ModelFacts:
        """The ``float`` or the ``compressed`` model."""
        return {"float": self.float, "compressed": self.compressed}[model]


@dataclass(frozen=True)
class FloatHistory:
    """``model/float/history.json``: the float training (None where the model was given), and the events."""

    history: History | None = None
    events: EventSplit = field(default_factory=EventSplit)


FLOAT_HISTORY = Kind(FloatHistory, "history of a training", 1, "train")
MODEL_SUMMARY = Kind(ModelSummary, "model summary", 1, "compress", explicit=True)

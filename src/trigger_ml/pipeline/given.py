"""A model of the user's in an experiment: its unit, and proof that it is still the same model.

What an owner knows of a model is what their own framework says of their own input. So that is computed here,
beside what the same model says of counts, and what the converted model says of them.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core import layout
from trigger_ml.core.config import ExperimentConfig, InputConfig, UnitConfig
from trigger_ml.core.errors import ConfigError, InputError, MappingError
from trigger_ml.core.files import atomic_path
from trigger_ml.core.foreign import naming
from trigger_ml.core.keras_types import Model
from trigger_ml.core.task import Task
from trigger_ml.evaluation.uncertainty import Interval, Resamples, intervals, resample_showers
from trigger_ml.events.again import charges
from trigger_ml.events.dataset import Dataset
from trigger_ml.pipeline.feasibility import require_feasible, require_outputs

__all__ = ["OwnerInput", "Prepared", "judge", "keep", "owner_input", "owner_outputs", "prepare"]

FloatArray = NDArray[np.float64]

HEADS: dict[Task, tuple[str, ...]] = {
    "type": ("type",),
    "energy": ("energy",),
    "direction": ("skydirection",),
}
"""What CTLearn calls the output of each task; its sky directions are in our frame and unit."""
FRACTION = UnitConfig(of="fraction")
UNITS = (FRACTION, UnitConfig(of="counts"), UnitConfig(of="photo-electrons"))
# relative spread of outputs that float32 cannot tell from none
CONSTANT = 1e-6
UNIT_MATTERS = 0.05
"""So much better in another unit, and a model whose unit was not said is refused."""
MEASURES = {"type": "AUC", "energy": "correlation", "direction": "correlation"}


@dataclass(frozen=True)
class OwnerInput:
    """What a model takes: ``counts * scale + offset``, by channel.

    Parameters
    ----------
    name : str
    scale, offset : tuple of float
        One for each channel.
    lsb : tuple of float or None
        Size of a count in each channel, where the owner's own input is charge that was never counted.
    """

    name: str
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    lsb: tuple[float, ...] | None = None

    def of_counts(self, counts: NDArray[Any]) -> NDArray[np.float32]:
        """The model's input for counts, shape (events, height, width, channels)."""
        return np.asarray(counts.astype(np.float64) * self.scale + self.offset, dtype=np.float32)

    def of_charges(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The model's input for photo-electrons and nanoseconds."""
        assert self.lsb is not None
        scale = np.asarray(self.scale) / np.asarray(self.lsb)
        values = images.astype(np.float64) * scale + self.offset
        return np.asarray(values, dtype=np.float32)


def owner_input(unit: UnitConfig, config: InputConfig) -> OwnerInput:
    """The unit of a model's input in terms of counts.

    Parameters
    ----------
    unit : UnitConfig
    config : InputConfig
        How counts are made.
    """
    n = len(config.channels)
    lsb = tuple({"image": config.charge_lsb, "peak_time": config.time_lsb}[name] for name in config.channels)
    size = {"fraction": (2.0**-config.bits,) * n, "counts": (1.0,) * n, "photo-electrons": lsb}[unit.of]
    scale, offset = (v if isinstance(v, tuple) else (v,) * n for v in (unit.scale, unit.offset))
    plain = set(scale) == {1.0} and set(offset) == {0.0}
    return OwnerInput(
        unit.of if plain else f"{unit.scale} * {unit.of} + {unit.offset}",
        tuple(s * q for s, q in zip(scale, size, strict=True)),
        offset,
        lsb if unit.of == "photo-electrons" else None,
    )


@dataclass(frozen=True, eq=False)
class Prepared:
    """A given model, ready to be compressed.

    Parameters
    ----------
    given : trigger_ml.models.given.GivenModel
    owner : OwnerInput
    model : tf_keras.Model
        Float, of ``counts * 2**-bits``, with linear outputs.
    """

    given: Any
    owner: OwnerInput
    model: Model


def prepare(config: ExperimentConfig) -> Prepared:
    """Open the model that an experiment names, fold its unit, and refuse what firmware cannot hold.

    Raises
    ------
    InputError, MappingError, ConfigError, ToolMissingError
    """
    from trigger_ml.models.files import open_model
    from trigger_ml.models.front import fold_front

    assert config.model.weights is not None
    owner = owner_input(config.model.input or FRACTION, config.events.input)
    given = open_model(Path(config.model.weights), outputs=HEADS[config.task])
    with naming(f"model.weights: {config.model.weights}"):
        for layer in given.twin.layers:
            if type(layer).__module__.startswith("qkeras"):
                raise MappingError(
                    f"layer {layer.name}",
                    f"is quantized already ({type(layer).__name__}); an experiment quantizes a float model",
                    "Give the float model that it was made from",
                )
        require_outputs(given.model, config.task)
        if "cameradirection" in given.model.output_names:
            raise ConfigError(
                "its output cameradirection",
                "is in metres of the camera, the task direction is in degrees of the sky",
                "Train CTLearn's task skydirection",
            )
        channels = len(config.events.input.channels)
        if given.model.input_shape[-1] != channels:
            raise ConfigError(
                "its input",
                f"has {given.model.input_shape[-1]} channels, `events.input.channels` names {channels}",
                "Use events of the model's channels, or another model",
            )
        scale = np.asarray(owner.scale) * 2.0**config.events.input.bits
        model = fold_front(given.model, scale, owner.offset)
        require_feasible(model, config)
    return Prepared(given, owner, model)


def keep(config: ExperimentConfig, directory: Path) -> None:
    """Copy the user's file into the run, byte for byte: what the run is verified against."""
    source = Path(str(config.model.weights))
    with atomic_path(directory / layout.FLOAT_FOLDER / f"given{source.suffix}") as partial:
        shutil.copyfile(source, partial)


def _kept(directory: Path) -> Path:
    """The user's file in a run, whatever it is called where it came from."""
    (found,) = (path for path in (directory / layout.FLOAT_FOLDER).glob("given.*") if path.suffix != ".json")
    return found


def owner_outputs(config: ExperimentConfig, directory: Path, counts: NDArray[Any]) -> FloatArray:
    """What the model as given, in its owner's framework, says of counts.

    Parameters
    ----------
    config : ExperimentConfig
    directory : Path
        The run directory.
    counts : numpy.ndarray of uint8 or uint16, shape (events, height, width, channels)

    Returns
    -------
    numpy.ndarray of float64, shape (events, outputs)
    """
    from trigger_ml.models.files import open_model

    owner = owner_input(config.model.input or FRACTION, config.events.input)
    given = open_model(_kept(directory), outputs=HEADS[config.task])
    return np.asarray(given.outputs(owner.of_counts(counts)))


def judge(
    prepared: Prepared,
    config: ExperimentConfig,
    dataset: Dataset,
    targets: NDArray[np.floating],
    rows: NDArray[np.int64],
) -> dict[str, Any]:
    """How good the model is by its own framework on its own input, and on counts; refuse it if it loses.

    Parameters
    ----------
    prepared : Prepared
    config : ExperimentConfig
    dataset : Dataset
    targets : numpy.ndarray, shape (len(dataset), outputs)
    rows : numpy.ndarray of int64
        Events to judge on.

    Returns
    -------
    dict
        ``file``, ``framework``, ``input``, ``measure``, ``events``; ``own``, ``counts`` and ``difference``
        (own minus counts), each an interval; ``units``: the measure on counts in every unit that was tried.

    Raises
    ------
    StageError
        If the converted model is not the owner's.
    ConfigError
        If the model does clearly better in a unit that was not asked for.
    InputError
        If counting its input costs more than ``model.input_loss``.
    """
    from trigger_ml.models.batches import predict

    given, owner, test = prepared.given, prepared.owner, dataset[rows]
    source = f"model.weights: {config.model.weights}"
    name, most = MEASURES[config.task], config.model.input_loss
    measure = _Measure(config, test, np.asarray(targets[rows], dtype=np.float64))

    def interval(values: FloatArray) -> Interval:
        return intervals(values, config.evaluation.confidence)[0]

    answers = given.outputs(owner.of_counts(test.counts))
    converted = predict(prepared.model, test.counts, config.events.input.bits)
    given.require_same(answers, converted, source)
    # of the sample itself, then of its resamples
    fed = measure(answers)
    units = {owner.name: fed}
    if config.model.input is None:
        # whoever did not say the unit is not taken by their word
        for unit in (owner_input(unit, config.events.input) for unit in UNITS):
            if unit.name not in units:
                units[unit.name] = measure(given.outputs(unit.of_counts(test.counts)))
        better = [interval(values - fed) for values in units.values()]
        if any(found.value > UNIT_MATTERS and found.low > 0 for found in better):
            found = ", ".join(f"{interval(values).value:.3f} on {unit}" for unit, values in units.items())
            raise ConfigError(
                source,
                f"it does not say what its model takes, and that matters: its {name} by {given.framework} is "
                f"{found} (counts / 2**{config.events.input.bits})",
                "Say its unit, `model.input: photo-electrons` or another",
            )
    own = fed if owner.lsb is None else measure(_of_charges(given, owner, config, dataset, rows))
    figures = {"own": interval(own), "counts": interval(fed), "difference": interval(own - fed)}
    if figures["difference"].value > most and figures["difference"].low > 0:
        raise InputError(
            source,
            f"its {name} by {given.framework} is {figures['own'].value:.3f} on its own input ({owner.name}) "
            f"and {figures['counts'].value:.3f} once that is counted",
            "Count finer or otherwise (events.input: bits, charge_lsb, pedestal, threshold), train it on "
            "such input, or allow the loss (model.input_loss)",
        )
    return {
        "file": str(config.model.weights),
        "framework": given.framework,
        "input": owner.name,
        "measure": name,
        "events": len(test),
        **{key: value.to_dict() for key, value in figures.items()},
        "units": {unit: interval(values).to_dict() for unit, values in units.items()},
    }


def _of_charges(
    given: Any, owner: OwnerInput, config: ExperimentConfig, dataset: Dataset, rows: NDArray[np.int64]
) -> FloatArray:
    """Outputs for the events' charges as their files give them, never counted."""
    place = np.full(len(dataset), -1)
    place[rows] = np.arange(len(rows))
    found = np.zeros((len(rows), given.model.output_shape[-1]))
    for read, images in charges(dataset, config.events):
        mine = place[read] >= 0
        if mine.any():
            found[place[read[mine]]] = given.outputs(owner.of_charges(images[mine]))
    return found


class _Measure:
    """AUC, or correlation of a regressor with the truth on gammas, for the sample and its resamples.

    Neither changes where outputs are scaled or shifted: a wrong unit is told from a wrong calibration.
    """

    def __init__(self, config: ExperimentConfig, test: Dataset, targets: FloatArray) -> None:
        self._classes = config.task == "type"
        self._rows = np.arange(len(test)) if self._classes else np.flatnonzero(test.label == 1)
        self._label, self._targets = test.label[self._rows], targets[self._rows]
        self._draws: Resamples = resample_showers(
            test.shower_id[self._rows], self._label, config.evaluation.bootstrap, config.seed
        )

    def __call__(self, outputs: FloatArray) -> FloatArray:
        """Shape (1, 1 + resamples)."""
        values = outputs[self._rows]
        if self._classes:
            bins = np.zeros(len(values), dtype=np.int64)
            return self._draws.roc(values[:, 0], self._label == 1, bins, 1, 0.5)[0]
        weights = self._draws.counts[self._draws.shower].astype(np.float64)
        return np.mean(
            [_correlation(values[:, i], self._targets[:, i], weights) for i in range(values.shape[1])], axis=0
        )[np.newaxis]


def _correlation(a: FloatArray, b: FloatArray, weights: FloatArray) -> FloatArray:
    """Pearson's, for every column of weights; 0 where one of both is constant: it does not tell the other."""
    if any(np.ptp(values) <= CONSTANT * np.abs(values).max() for values in (a, b)):
        return np.zeros(weights.shape[1])
    total = weights.sum(axis=0)
    mean_a, mean_b = (a @ weights) / total, (b @ weights) / total
    covariance = (a * b) @ weights / total - mean_a * mean_b
    spread = ((a * a) @ weights / total - mean_a**2) * ((b * b) @ weights / total - mean_b**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(spread > 0, covariance / np.sqrt(np.maximum(spread, 0)), 0.0))

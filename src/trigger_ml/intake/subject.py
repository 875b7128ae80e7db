"""From what somebody brings to the network: a float or quantized model, a network file, an emulator."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigger_ml.core.config import IntakeConfig, QuantizationConfig
from trigger_ml.core.errors import InputError, MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.foreign import naming
from trigger_ml.core.keras_types import Model
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.ir.network import Network
from trigger_ml.intake.inputs import Inputs, fitting_type, random_inputs, read_values, usual_type

__all__ = ["Brought", "Subject", "bring", "converted", "input_type", "project_name", "quantized"]

SAMPLE = 256
"""Inputs on which a model, flat and with linear outputs, is compared with the model as given."""
SUFFIX = ".npz"
"""Of the project's own network files."""


@dataclass(frozen=True, eq=False)
class Brought:
    """What was brought, opened.

    Parameters
    ----------
    path : Path
    framework : str
        That wrote it.
    given : trigger_ml.models.given.GivenModel or None
        A Keras model.
    network : Network or None
        A network of the project's own.
    """

    path: Path
    framework: str
    given: Any = None
    network: Network | None = None

    @property
    def quantized(self) -> bool:
        """Whether its numbers are fixed-point already."""
        return self.given is None or self.given.quantized

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one event."""
        if self.network is not None:
            return self.network.input.size
        return tuple(self.given.twin.input_shape[1:])


@dataclass(frozen=True, eq=False)
class Subject:
    """A model that firmware can be made of.

    Parameters
    ----------
    brought : Brought
    network : Network
    model : tf_keras.Model or None
        Quantized; None where a network alone was brought.
    inputs : Inputs
    notes : tuple of str
        What was decided because nobody said it.
    """

    brought: Brought
    network: Network
    model: Model | None
    inputs: Inputs
    notes: tuple[str, ...] = field(default=())

    @property
    def own_outputs(self) -> NDArray[np.float64] | None:
        """What the model as given says of its owner's inputs, by its own framework; None for a network."""
        given = self.brought.given
        return None if given is None else np.asarray(given.outputs(self.inputs.values))


def bring(path: Path, weights: Path | None = None, refusals: list[MappingError] | None = None) -> Brought:
    """Open what somebody brings, as data.

    Parameters
    ----------
    path, weights : Path
    refusals : list of MappingError, optional
        Takes what would be raised for layers of Keras 3, which then have stand-ins.

    Raises
    ------
    InputError, MappingError
    """
    if path.suffix == SUFFIX and not path.is_dir():
        network = serialize.load(path)
        return Brought(path, f"trigger_ml network, format {network.format}", network=network)
    from trigger_ml.models.files import open_model

    given = open_model(path, weights, refusals=refusals)
    with naming(str(path)):
        if len(given.twin.inputs) != 1 or None in given.twin.input_shape[1:]:
            raise MappingError(
                f"model {given.twin.name}",
                "has not one input of a fixed shape",
                "Use one input: a map or a vector",
            )
    return Brought(path, given.framework, given)


def _first_quantizer(model: Model) -> FixedPoint | None:
    """Type of the quantizers that read a model's input; None if something else reads it, too."""
    from trigger_ml.models.graph import consumers
    from trigger_ml.models.quantizers import fixed_point_of

    (entry,) = [layer.name for layer in model.layers if type(layer).__name__ == "InputLayer"]
    readers = consumers(model)[entry]
    if not readers or any(reader.kind != "QActivation" for reader in readers):
        return None
    types = {fixed_point_of(reader.layer.quantizer) for reader in readers}
    return types.pop() if len(types) == 1 else None


def input_type(
    brought: Brought,
    config: IntakeConfig,
    values: NDArray[np.float64] | None = None,
    notes: list[str] | None = None,
) -> FixedPoint:
    """Type of the input: declared, of the model's first quantizer or its network, or one that fits.

    Parameters
    ----------
    brought : Brought
    config : IntakeConfig
    values : numpy.ndarray, optional
        The owner's inputs.
    notes : list of str, optional
        Takes what was decided because nobody said it.

    Raises
    ------
    InputError
        If a network's own type is another than the declared one.
    """
    notes = [] if notes is None else notes
    dtype = None if config.input is None else FixedPoint.parse(config.input)
    if brought.network is not None:
        own = brought.network.input.dtype
        if dtype not in (None, own):
            why = f"reads {own}, the configuration says {dtype}"
            raise InputError(str(brought.path), why, "Leave `input` out")
        return own
    if dtype is not None:
        return dtype
    if brought.quantized and (first := _first_quantizer(brought.given.twin)) is not None:
        notes.append(f"the input is {first}, as the quantizer that the model begins with")
        return first
    if values is not None:
        dtype = fitting_type(values)
        notes.append(f"the input is {dtype}, which holds the inputs given (`input` in --config)")
        return dtype
    dtype = usual_type(brought.input_shape)
    notes.append(f"the input is taken for {dtype}: say what it is in --config (input: ufixed<8,0>)")
    return dtype


def _inputs(brought: Brought, config: IntakeConfig, path: Path | None) -> tuple[Inputs, list[str]]:
    """The inputs on the grid of their type, and what was decided."""
    shape = brought.input_shape
    notes: list[str] = []
    values = None if path is None else read_values(path, shape)
    dtype = input_type(brought, config, values, notes)
    if values is None:
        return random_inputs(shape, dtype, config.random_inputs, config.seed), notes
    inputs = Inputs.of(f"{len(values)} from {path.name}" if path else "", values, dtype)
    share, most = inputs.changed
    if share:
        notes.append(f"{100 * share:.3g} % of the inputs' numbers change, by up to {most:.3g}, to be {dtype}")
    return inputs, notes


def converted(brought: Brought, config: IntakeConfig, inputs_path: Path | None = None) -> Subject:
    """The network of what was brought: of a quantized model, or of a float one's quantized twin.

    Parameters
    ----------
    brought : Brought
    config : IntakeConfig
    inputs_path : Path, optional
        ``.npy`` of the owner's inputs.

    Raises
    ------
    InputError, MappingError
    """
    inputs, notes = _inputs(brought, config, inputs_path)
    if brought.network is not None:
        return Subject(brought, brought.network, None, inputs, tuple(notes))
    from trigger_ml.core.keras2 import tf
    from trigger_ml.firmware.extract import extract

    with naming(str(brought.path)):
        given = brought.given
        model = given.model
        sample = inputs.values[:SAMPLE]
        outputs = tf.nest.flatten(model(sample.astype(np.float32), training=False))
        given.require_same(given.outputs(sample), given.comparable(outputs), str(brought.path))
        if not brought.quantized:
            bits = config.quantization.default
            widths = f"weights {bits.weights} bits, activations {bits.activations} bits"
            notes.append(f"quantized without training: {widths}")
            if inputs_path is None:
                notes.append(
                    "ranges of activations follow from random inputs, which are unlike yours: give --inputs"
                )
            model = quantized(model, config.quantization, inputs)
        metadata = {"name": project_name(brought, config), "framework": brought.framework}
        network = extract(model, input_type=inputs.dtype, metadata=metadata, given=given.twin)
    return Subject(brought, network, model, inputs, tuple(notes))


def project_name(brought: Brought, config: IntakeConfig) -> str:
    """What the projects are called: as configured, else after the model's file."""
    from trigger_ml.firmware.names import word

    return config.name or word(brought.path.stem)


def quantized(model: Model, config: QuantizationConfig, inputs: Inputs) -> Model:
    """A float model's quantized twin, its ranges calibrated on the inputs."""
    from trigger_ml.compression.fold import fold_batch_norm
    from trigger_ml.compression.quantization import quantized_twin, snap_weights
    from trigger_ml.models.front import fold_front

    plain = fold_batch_norm(fold_front(model))
    values = inputs.rounded.astype(np.float32)
    twin = quantized_twin(plain, config, inputs.dtype, values)
    snap_weights(twin)
    return twin

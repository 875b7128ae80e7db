"""Models on disk: one writer and one reader for float, quantized and CTLearn's models."""

import json
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from qkeras.utils import load_qmodel, quantized_model_from_json

from trigger_ml.core.errors import InputError, MappingError
from trigger_ml.core.files import atomic_path, not_whole, require_file
from trigger_ml.core.foreign import reading, reason
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.core.keras_types import Model
from trigger_ml.models.constraints import KernelRule
from trigger_ml.models.ctlearn import flat_twin, one_output, read_keras3
from trigger_ml.models.given import GivenModel
from trigger_ml.models.graph import functional
from trigger_ml.models.topology import KIND, require_harmless, require_weights_alone, topology

__all__ = ["load_model", "open_model", "save_model"]


def save_model(model: Model, path: Path) -> None:
    """Write a tf_keras or QKeras model (topology, weights, quantizers), atomically.

    Parameters
    ----------
    model : tf_keras.Model
    path : Path
        Ends with ``.h5``, the format that all of QKeras' users read.

    Raises
    ------
    InputError
        If the name does not end with ``.h5``.
    """
    if path.suffix != ".h5":
        raise InputError(str(path), "models are written as HDF5", "Let the name end with .h5")
    with atomic_path(path, lambda partial: _readable(partial, path)) as partial, warnings.catch_warnings():
        # HDF5 is chosen on purpose, and QKeras registers its quantizers as constraints
        warnings.simplefilter("ignore", UserWarning)
        tf_keras.models.save_model(model, str(partial), include_optimizer=False, save_format="h5")


def _readable(partial: Path, path: Path) -> None:
    """Read every weight back: HDF5 does not tell of every write that failed."""
    try:
        with h5py.File(partial) as file:
            file.visititems(_read_item)
    except (OSError, RuntimeError, KeyError) as error:
        raise not_whole(path, reason(error)) from error


def _read_item(_: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
        item[()]


def open_model(
    path: Path,
    weights: Path | None = None,
    outputs: Collection[str] = (),
    refusals: list[MappingError] | None = None,
) -> GivenModel:
    """Read a model as its owner has it.

    Parameters
    ----------
    path : Path
        ``.h5``, ``.keras`` or a SavedModel folder of Keras 2 (quantized layers included), a file of Keras 3
        (CTLearn), which is flattened and converted for what comes after, or a topology (``.json``) of either,
        with the weights in a file of their own.
    weights : Path, optional
        HDF5 file of weights that belongs to a topology; by default the only one beside it of its name.
    outputs : collection of str
        Names of which one is to be taken where a model of Keras 3 has several outputs.
    refusals : list of MappingError, optional
        Takes what would be raised for layers of Keras 3 (see :func:`~trigger_ml.models.ctlearn.flat_twin`).

    Returns
    -------
    GivenModel

    Raises
    ------
    InputError
        If the file is missing, no Keras model, or would run code of its author.
    MappingError
        If a Keras 3 model holds a layer without equivalent, or a model inside the model is no graph.
    """
    path = Path(path)
    if not path.is_dir():
        require_file(path)
    content, version = topology(path)
    require_harmless(content, str(path))
    stored = _weights_of(path, weights)
    if version.startswith("3"):
        native = one_output(read_keras3(path, stored), outputs)
        return GivenModel(f"Keras {version}", native, flat_twin(native, refusals))
    with reading(path, KIND, "Save the model again"):
        model = _read_keras2(path, content, stored)
        if bad := _not_finite(model):
            raise InputError(str(path), f"layer {bad} has weights that are no numbers", "Train it again")
    return GivenModel(f"Keras {version}".strip(), model, functional(model))


def _read_keras2(path: Path, content: Any, weights: Path | None) -> Model:
    """Model of Keras 2 or QKeras, whose topology was found harmless."""
    objects = {"KernelRule": KernelRule}
    if weights is None:
        return load_qmodel(str(path), custom_objects=objects, compile=False)
    model = quantized_model_from_json(json.dumps(content), objects)
    found = model.load_weights(str(weights))
    if path.is_dir():
        # a checkpoint: every weight of the model must be in it
        found.assert_existing_objects_matched()
    return model


def _weights_of(path: Path, weights: Path | None) -> Path | None:
    """The file with a model's weights, where it is another than that of the topology.

    Raises
    ------
    InputError
        If it is missing, or there are several.
    """
    name = "Name it: --weights FILE"
    if path.is_dir():
        return path / "variables" / "variables"
    if path.suffix != ".json":
        if weights is not None:
            raise InputError(str(path), "holds its weights itself", "Leave --weights out")
        return None
    if weights is None:
        named, any_name = (".weights.h5", "_weights.h5", "-weights.h5"), (".h5",)
        beside = [
            [file for end in endings if (file := path.with_name(f"{path.stem}{end}")).is_file()]
            for endings in (named, any_name)
        ]
        found = beside[0] or beside[1]
        if len(found) != 1:
            names = ", ".join(file.name for file in found) or "none"
            raise InputError(str(path), f"a topology alone; weights beside it: {names}", name)
        weights = found[0]
    require_file(weights, name)
    require_weights_alone(weights)
    return weights


def load_model(path: Path) -> Model:
    """Read a model for inference, compression or firmware; see :func:`open_model`.

    Returns
    -------
    tf_keras.Model
        Functional, with one logit in place of a sigmoid or of a two-class softmax.
    """
    return open_model(path).model


def _not_finite(model: Model) -> str | None:
    """First layer with a weight that is NaN or infinite; None if all are numbers."""
    for layer in model.layers:
        if not all(np.isfinite(weights).all() for weights in layer.get_weights()):
            return str(layer.name)
    return None

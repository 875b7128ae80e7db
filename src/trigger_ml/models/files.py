"""Models on disk: one writer and one reader for float, quantized and CTLearn's models."""

import warnings
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import h5py

from trigger_ml.core.errors import InputError
from trigger_ml.core.files import atomic_path, require_file
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.constraints import KernelRule
from trigger_ml.models.ctlearn import load_keras3
from trigger_ml.models.heads import without_squashing

__all__ = ["load_model", "save_model"]


def save_model(model: Any, path: Path) -> None:
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
    with atomic_path(path) as partial, warnings.catch_warnings():
        # HDF5 is chosen on purpose, and QKeras registers its quantizers as constraints
        warnings.simplefilter("ignore", UserWarning)
        tf_keras.models.save_model(model, str(partial), include_optimizer=False, save_format="h5")


def load_model(path: Path) -> Any:
    """Read a model for inference, compression or firmware.

    Parameters
    ----------
    path : Path
        ``.h5`` or ``.keras`` of Keras 2 (quantized layers included), or a ``.keras`` file of Keras 3
        (CTLearn), which is flattened and converted.

    Returns
    -------
    tf_keras.Model
        With one logit in place of a sigmoid or of a two-class softmax.

    Raises
    ------
    InputError
        If the file is missing or no Keras model.
    MappingError
        If a Keras 3 model holds a layer without equivalent.
    """
    path = Path(path)
    require_file(path)
    if _is_keras3(path):
        return load_keras3(path)
    from qkeras.utils import load_qmodel

    try:
        model = load_qmodel(str(path), custom_objects={"KernelRule": KernelRule}, compile=False)
    except Exception as error:
        # the readers of Keras raise many kinds; the user needs to know which file it was
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            str(path), f"not a readable Keras model ({reason})", "Save the model again"
        ) from error
    return without_squashing(model)


def _is_keras3(path: Path) -> bool:
    """Whether Keras 3 wrote the file: both versions use the same file name extensions."""
    if is_zipfile(path):
        with ZipFile(path) as archive:
            names = archive.namelist()
            metadata = archive.read("metadata.json").decode() if "metadata.json" in names else ""
        return '"keras_version": "3' in metadata
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            version = file.attrs.get("keras_version", b"")
            return (version.decode() if isinstance(version, bytes) else str(version)).startswith("3")
    return False

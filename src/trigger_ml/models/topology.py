"""What a model file would make, read before any of it is made: a file from a stranger is data.

Keras makes the objects that a file names. Some of them run code that the file brings (``Lambda``), call any
operation by its name, or read other files; the file's own safety switch does not hold for HDF5. So the
topology is read first, as JSON, in every nested model, wrapper and setting, and every object in it must be
one of the framework's or of ours that only computes.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import h5py
from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

from trigger_ml.core.errors import InputError
from trigger_ml.core.foreign import reading
from trigger_ml.core.keras2 import tf_keras

__all__ = ["KIND", "require_harmless", "require_weights_alone", "topology"]

KIND = "Keras model"
SAVE_AGAIN = "Save it again with model.save('x.h5')"
LARGEST = 2**26
"""Bytes of a topology; that of a ResNet-152 has 3e5."""

# of the framework, but they run what the file brings, or read what it names
_HARMFUL = frozenset({
    "Lambda", "TFSMLayer", "TFOpLambda", "SlicingOpLambda", "StringLookup", "IntegerLookup",
    "TextVectorization", "ClassMethod", "InstanceMethod", "InstanceProperty", "FlaxLayer", "JaxLayer",
    "TorchModuleWrapper", "DenseFeatures",
})  # fmt: skip
_QKERAS = frozenset({
    "QActivation", "QAdaptiveActivation", "QAveragePooling2D", "QBatchNormalization", "QConv1D", "QConv2D",
    "QConv2DBatchnorm", "QConv2DTranspose", "QDense", "QDepthwiseConv2D", "QDepthwiseConv2DBatchnorm",
    "QGlobalAveragePooling2D", "QInitializer", "QSeparableConv1D", "QSeparableConv2D", "Clip", "bernoulli",
    "binary", "quantized_bits", "quantized_linear", "quantized_hswish", "quantized_po2", "quantized_relu",
    "quantized_relu_po2", "quantized_sigmoid", "quantized_tanh", "quantized_ulaw", "stochastic_binary",
    "stochastic_ternary", "ternary",
})  # fmt: skip
_OTHERS = frozenset({
    # ours; pruning wrappers, of which the user is told to strip them; what describes shapes and types
    "KernelRule", "PruneLowMagnitude", "PolynomialDecay", "ConstantSparsity", "Functional", "Sequential",
    "Model", "DTypePolicy", "Policy", "TensorShape", "InputSpec", "__tuple__", "__numpy__", "__tensor__",
    "__keras_tensor__",
})  # fmt: skip
_MODULES = ("keras", "tf_keras", "qkeras", "tensorflow_model_optimization", "trigger_ml", "builtins")


@cache
def _known() -> frozenset[str]:
    """Classes and functions that a file may name."""
    rooms = (
        tf_keras.layers, tf_keras.initializers, tf_keras.regularizers, tf_keras.constraints,
        tf_keras.activations,
    )  # fmt: skip
    makers = {"get", "serialize", "deserialize"}
    named = {name for room in rooms for name in dir(room) if callable(getattr(room, name))}
    return (frozenset(named) | _QKERAS | _OTHERS) - _HARMFUL - makers


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every object that a part of a topology describes."""
    if isinstance(node, dict):
        if "class_name" in node:
            yield node
        for value in node.values():
            yield from _objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from _objects(value)


def _named(item: dict[str, Any]) -> list[Any]:
    """Everything by which Keras may look up what to make of an object's description."""
    kind, config = item["class_name"], item.get("config")
    names = [config if kind == "function" else kind]
    registered = item.get("registered_name")
    if registered is not None:
        names.append(registered.rsplit(">", 1)[-1] if isinstance(registered, str) else registered)
    return names


def require_harmless(content: Any, source: str) -> None:
    """Refuse a topology that names something else than what computes.

    Parameters
    ----------
    content : JSON value
    source : str
        Named in errors.

    Raises
    ------
    InputError
        Naming the layer.
    """
    for item in _objects(content):
        config = item.get("config")
        own = config.get("name") if isinstance(config, dict) else None
        own = own or item.get("name")
        where = f"{source}: layer {own}" if isinstance(own, str) else source
        module = item.get("module")
        alien = module is not None and str(module).split(".")[0] not in _MODULES
        for name in _named(item):
            if name in _HARMFUL if isinstance(name, str) else True:
                why = f"{name} runs code or reads files that the model's author chose, when it is opened"
                raise InputError(where, why, "Build the model of layers that only compute, and save it again")
            if alien or name not in _known():
                origin = f" of {module}" if alien else ""
                why = f"{name}{origin} is no object of Keras, QKeras or trigger_ml, and is not made"
                raise InputError(where, why, "Build the model of Keras' own layers, and save it again")


def topology(path: Path) -> tuple[Any, str]:
    """Topology of a model file, and the version of Keras that wrote it ('' if it does not say).

    Nothing but JSON and HDF5 attributes is read.

    Raises
    ------
    InputError
        If the file is missing or of no format that holds a topology as data.
    """
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise InputError(str(path), "no such file", "Check the path")
    with reading(path, KIND, SAVE_AGAIN):
        zipped, hdf5 = is_zipfile(path), h5py.is_hdf5(path)
        if zipped and hdf5:
            raise InputError(str(path), "is two files in one (ZIP and HDF5)", SAVE_AGAIN)
        if zipped:
            return _of_archive(path)
        if hdf5:
            return _of_hdf5(path)
        if path.suffix == ".json":
            return _of_json(path)
    raise InputError(str(path), f"not a readable {KIND} (neither HDF5 nor .keras)", SAVE_AGAIN)


def _of_json(path: Path) -> tuple[Any, str]:
    """What ``model.to_json()`` of either Keras wrote."""
    if path.stat().st_size > LARGEST:
        raise InputError(str(path), "its topology is too large to be one", SAVE_AGAIN)
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict) or not {"class_name", "config"} <= set(content):
        raise InputError(str(path), "is JSON, but no Keras model", "Write it with model.to_json()")
    # Keras 2 names its version; Keras 3 names a module for every object instead
    return content, str(content.get("keras_version", "3" if "module" in content else ""))


METADATA = "keras_metadata.pb"
"""Where a SavedModel of Keras 2 keeps its topology, as JSON beside the program."""


def _of_folder(path: Path) -> tuple[Any, str]:
    """Topology of a SavedModel of Keras 2; the program in it is neither read nor run."""
    file = path / METADATA
    if not file.is_file():
        why = f"the folder holds no {METADATA}, so at most a program, and no model as data"
        raise InputError(str(path), why, SAVE_AGAIN)
    with reading(path, KIND, SAVE_AGAIN):
        if file.stat().st_size > LARGEST:
            raise InputError(str(path), "its topology is too large to be one", SAVE_AGAIN)
        found = SavedMetadata.FromString(file.read_bytes())
        (root,) = [node for node in found.nodes if node.node_path == "root"]
        facts = json.loads(root.metadata)
        if facts.get("model_config") is None:
            why = "its model is a program of its author's (no graph of layers)"
            raise InputError(str(path), why, "Build it with keras.Model(inputs, outputs), and save it again")
        return facts["model_config"], str(facts.get("keras_version", ""))


def require_weights_alone(path: Path) -> None:
    """Refuse a file of weights that is not HDF5, or that links to other files.

    Raises
    ------
    InputError
    """
    remedy = "Write it with model.save_weights('x.weights.h5')"
    with reading(path, "file of weights", remedy), h5py.File(path, "r") as file:
        _require_inside(file, path)


def _of_archive(path: Path) -> tuple[Any, str]:
    with ZipFile(path) as archive:
        names = archive.namelist()
        if len(set(names)) != len(names) or "config.json" not in names:
            raise InputError(str(path), "a ZIP archive, but no Keras model", SAVE_AGAIN)
        if archive.getinfo("config.json").file_size > LARGEST:
            raise InputError(str(path), "its topology is too large to be one", SAVE_AGAIN)
        content = json.loads(archive.read("config.json"))
        facts = json.loads(archive.read("metadata.json")) if "metadata.json" in names else {}
    if isinstance(content, dict):
        # the model is not compiled, so that its loss and optimizer are not made
        content = {key: value for key, value in content.items() if key != "compile_config"}
    return content, str(facts.get("keras_version", ""))


def _of_hdf5(path: Path) -> tuple[Any, str]:
    with h5py.File(path, "r") as file:
        text, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "")
        _require_inside(file, path)
    if text is None:
        raise InputError(
            str(path),
            "holds no topology (weights alone?)",
            "Save the whole model: model.save(...), or give model.to_json() in a file beside it",
        )
    content = json.loads(text)
    return content, version.decode() if isinstance(version, bytes) else str(version)


def _require_inside(file: Any, path: Path) -> None:
    """Refuse an HDF5 file whose parts lie in other files."""
    outside: list[str] = []

    def note(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            outside.append(name)

    file.visititems_links(note)
    if outside:
        raise InputError(str(path), f"{outside[0]} lies in another file", SAVE_AGAIN)

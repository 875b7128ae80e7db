import io
import json
import re
import shutil
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np
import pytest
from qkeras import QActivation, QDense, quantized_bits, quantized_relu
from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

from trigger_ml.core.config import ModelConfig, StageConfig
from trigger_ml.core.errors import InputError, MappingError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.files import load_model, open_model, save_model
from trigger_ml.models.graph import functional
from trigger_ml.models.registry import build_model


def test_a_hexagonal_model_survives(tmp_path: Path) -> None:
    config = ModelConfig(stem_filters=2, stages=(StageConfig(filters=2),), kernel="hexagonal")
    model = build_model(config, (8, 8, 1), "type")
    images = np.random.default_rng(0).random((5, 8, 8, 1), dtype=np.float32)
    save_model(model, tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(loaded(images), model(images))
    assert loaded.get_layer("stem").kernel_constraint.hexagonal
    assert [p.name for p in tmp_path.iterdir()] == ["model.h5"]


@pytest.mark.parametrize("name", ["missing.h5", "garbage.h5", "garbage.keras"])
def test_bad_files_are_named(tmp_path: Path, name: str) -> None:
    if name.startswith("garbage"):
        (tmp_path / name).write_bytes(b"no model")
    with pytest.raises(InputError, match=name):
        load_model(tmp_path / name)


class Evil:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.mark,)


LAMBDA = {"class_name": "Lambda", "config": {"name": "evil", "function": ["4wAAAA==", None, None]}}
INPUT = {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 4, 4, 1]}}
DENSE = {"class_name": "Dense", "config": {"name": "out", "units": 1}}


def of(*layers: dict[str, Any], kind: str = "Functional") -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": "model", "layers": list(layers)}}


HARMFUL: dict[str, tuple[dict[str, Any], str]] = {
    "lambda": (of(INPUT, LAMBDA, DENSE), "layer evil: Lambda runs code"),
    "in a nested model": (of(INPUT, of(of(LAMBDA), kind="Sequential")), "layer evil: Lambda runs code"),
    "in a wrapper": (
        of(INPUT, {"class_name": "TimeDistributed", "config": {"name": "t", "layer": LAMBDA}}),
        "layer evil: Lambda runs code",
    ),
    "an operation by name": (
        of(INPUT, {"class_name": "TFOpLambda", "config": {"name": "write", "function": "io.write_file"}}),
        "layer write: TFOpLambda runs code",
    ),
    "a file by name": (
        of(INPUT, {"class_name": "StringLookup", "config": {"name": "words", "vocabulary": "/etc/passwd"}}),
        "layer words: StringLookup runs code or reads files",
    ),
    "another's class": (
        of(INPUT, {"class_name": "Special", "config": {"name": "s"}}),
        "layer s: Special is no object of Keras",
    ),
    "another's module": (
        of(INPUT, {"class_name": "Dense", "module": "os", "config": {"name": "d"}}),
        "layer d: Dense of os is no object of Keras",
    ),
    "a function of the system": (
        of(
            INPUT,
            {
                "class_name": "Dense",
                "module": "keras.layers",
                "config": {
                    "name": "d",
                    "activation": {"module": "builtins", "class_name": "function", "config": "exec"},
                },
            },
        ),
        "exec is no object of Keras",
    ),
    "another's function under a known name": (
        of(
            INPUT,
            {"class_name": "function", "module": "keras", "config": "relu", "registered_name": "a>system"},
        ),
        "system is no object of Keras",
    ),
    "a lambda as a value": (
        of(INPUT, {"class_name": "__lambda__", "config": {"value": "4wAA"}}),
        "__lambda__ is no object of Keras",
    ),
    "a name that is no text": (of(INPUT, {"class_name": ["Lambda"], "config": {}}), "runs code"),
}


def model_file(path: Path, content: dict[str, Any], version: str = "2.21.0") -> Path:
    """A model file with a topology and no weights: opening it as Keras does would run what it names."""
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = json.dumps(content)
            file.attrs["keras_version"] = version
            file.create_group("model_weights")
    else:
        with ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps(content))
            archive.writestr("metadata.json", json.dumps({"keras_version": version}))
    return path


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
@pytest.mark.parametrize("version", ["2.21.0", "3.15.1"])
@pytest.mark.parametrize("kind", HARMFUL)
def test_a_file_that_would_run_code_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str, kind: str
) -> None:
    content, why = HARMFUL[kind]
    path = model_file(tmp_path / name, content, version)
    opened: list[object] = []
    monkeypatch.setattr("qkeras.utils.load_qmodel", lambda *args, **_: opened.append(args))
    monkeypatch.setattr("keras.models.load_model", lambda *args, **_: opened.append(args))
    with pytest.raises(InputError, match=re.escape(why)) as raised:
        load_model(path)
    assert str(path) in str(raised.value)
    assert not opened


def test_a_real_lambda_layer_does_not_run(tmp_path: Path) -> None:
    mark, path = tmp_path / "ran", tmp_path / "stranger.h5"
    x = tf_keras.Input((4,))
    y = tf_keras.layers.Lambda(lambda t, mark=str(mark): (__import__("os").mkdir(mark), t)[1])(x)
    tf_keras.Model(x, tf_keras.layers.Dense(1)(y)).save(path)
    mark.rmdir()
    with pytest.raises(InputError, match="Lambda runs code"):
        load_model(path)
    assert not mark.exists()


def test_files_that_are_two_things_are_refused(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.h5", of(INPUT, DENSE))
    archive = model_file(tmp_path / "m.keras", of(INPUT, LAMBDA))
    both = tmp_path / "both.keras"
    both.write_bytes(path.read_bytes() + archive.read_bytes())
    with pytest.raises(InputError, match="two files in one"):
        load_model(both)


def test_weights_that_are_pickles_are_refused(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    stream = io.BytesIO()
    np.savez(stream, out=np.array(Evil(mark), dtype=object))
    path = model_file(tmp_path / "m.keras", of(INPUT, DENSE))
    with ZipFile(path, "a") as archive:
        archive.writestr("model.weights.npz", stream.getvalue())
    with pytest.raises(InputError, match="not a readable Keras model"):
        load_model(path)
    assert not mark.exists()


def test_a_link_out_of_the_file_is_refused(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.h5", of(INPUT, DENSE))
    with h5py.File(path, "a") as file:
        file["model_weights/out"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(InputError, match="lies in another file"):
        load_model(path)


def test_a_program_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(InputError, match="at most a program"):
        load_model(tmp_path / "saved")


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    x = tf_keras.Input((4,))
    model = tf_keras.Model(x, tf_keras.layers.Dense(1, name="head")(x))
    model.get_layer("head").set_weights([np.full((4, 1), np.nan), np.zeros(1)])
    save_model(model, tmp_path / "m.h5")
    with pytest.raises(InputError, match="layer head has weights that are no numbers"):
        load_model(tmp_path / "m.h5")


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.h5"):
        save_model(None, tmp_path / "model.onnx")


# --- what people have their models in -------------------------------------------------------------------

FEATURES = np.random.default_rng(3).normal(size=(20, 6)).astype(np.float32)


def nested_qkeras() -> Any:
    """A quantized model inside a model, each with a layer of one name."""
    bits = quantized_bits(6, 0, alpha=1)
    inner = tf_keras.Sequential(
        [
            tf_keras.Input((6,)),
            QDense(4, kernel_quantizer=bits, bias_quantizer=bits, name="fc"),
            QActivation(quantized_relu(6), name="relu"),
        ],
        name="inner",
    )
    x = tf_keras.Input((6,), name="x")
    hidden = QDense(6, kernel_quantizer=bits, bias_quantizer=bits, name="fc")(x)
    y = QDense(2, kernel_quantizer=bits, bias_quantizer=bits, name="out")(inner(hidden))
    return tf_keras.Model(x, y)


@pytest.fixture(scope="module")
def keras2_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("keras2")
    tf_keras.utils.set_random_seed(1)
    model = nested_qkeras()
    model.save(folder / "m.h5", save_format="h5")
    model.save(folder / "m.keras")
    model.save(folder / "saved", save_format="tf")
    (folder / "t.json").write_text(model.to_json())
    model.save_weights(folder / "t_weights.h5")
    return folder, model(FEATURES).numpy()


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "saved", "t.json"])
def test_every_format_of_keras_2_is_the_same_model(keras2_files: tuple[Path, Any], name: str) -> None:
    folder, expected = keras2_files
    given = open_model(folder / name)
    np.testing.assert_array_equal(given.outputs(FEATURES), expected)
    # flat, the inner model's second `fc` named after it, and every bit the same
    assert [layer.name for layer in given.twin.layers] == ["x", "fc", "inner_fc", "relu", "out"]
    np.testing.assert_array_equal(given.twin(FEATURES).numpy(), expected)


def test_every_format_of_keras_3_is_the_same_model(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
    expected = np.asarray(model(FEATURES))
    model.save(tmp_path / "m.keras")
    (tmp_path / "m.json").write_text(model.to_json())
    model.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(InputError, match=r"m.json: a topology alone; weights beside it: none\. Name it: --w"):
        open_model(tmp_path / "m.json")
    for given in (
        open_model(tmp_path / "m.keras"),
        open_model(tmp_path / "m.json", tmp_path / "other.weights.h5"),
    ):
        assert given.framework.startswith("Keras 3")
        np.testing.assert_allclose(given.outputs(FEATURES), expected, atol=1e-6)
        np.testing.assert_allclose(given.twin(FEATURES).numpy(), expected, atol=1e-6)


def test_a_saved_model_without_topology_is_a_program(keras2_files: tuple[Path, Any], tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes((keras2_files[0] / "saved" / "saved_model.pb").read_bytes())
    with pytest.raises(InputError, match=r"holds no keras_metadata\.pb, so at most a program"):
        open_model(tmp_path)


def test_the_program_of_a_saved_model_is_not_read(keras2_files: tuple[Path, Any], tmp_path: Path) -> None:
    """Only topology and weights are: what is in the graph's file does not matter."""
    shutil.copytree(keras2_files[0] / "saved", tmp_path / "saved")
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"no graph at all")
    np.testing.assert_array_equal(open_model(tmp_path / "saved").outputs(FEATURES), keras2_files[1])


def test_harmful_layers_are_refused_in_every_format(tmp_path: Path) -> None:
    topology = of(INPUT, LAMBDA, DENSE)
    (tmp_path / "m.json").write_text(json.dumps({**topology, "keras_version": "2.21.0"}))
    facts = {"model_config": topology, "keras_version": "2.21.0"}
    (tmp_path / "saved").mkdir()
    root = SavedMetadata(nodes=[{"node_path": "root", "metadata": json.dumps(facts)}])
    (tmp_path / "saved" / "keras_metadata.pb").write_bytes(root.SerializeToString())
    for name in ("m.json", "saved"):
        with pytest.raises(InputError, match="layer evil: Lambda runs code"):
            open_model(tmp_path / name)


def test_weights_that_lie_elsewhere_are_refused(keras2_files: tuple[Path, Any], tmp_path: Path) -> None:
    shutil.copy(keras2_files[0] / "t.json", tmp_path / "t.json")
    with h5py.File(tmp_path / "t.weights.h5", "w") as file:
        file["out"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(InputError, match=r"t\.weights\.h5: out lies in another file"):
        open_model(tmp_path / "t.json")


def test_a_layer_called_twice_in_a_nested_model_is_named() -> None:
    inner = tf_keras.Sequential([tf_keras.Input((6,)), tf_keras.layers.Dense(6, name="fc")], name="inner")
    x = tf_keras.Input((6,), name="x")
    with pytest.raises(MappingError, match=r"layer fc .* is called more than once"):
        functional(tf_keras.Model(x, inner(inner(x))))

import io
import json
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np
import pytest

from trigger_ml.core.config import ModelConfig, StageConfig
from trigger_ml.core.errors import InputError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.files import load_model, save_model
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
    with pytest.raises(InputError, match="SavedModel"):
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

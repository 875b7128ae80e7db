"""The verb ``firmware``: what it leaves, against the framework of whoever brought the model."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brought import Case, jets, settings
from rich.console import Console

from trigger_ml.core import layout
from trigger_ml.core.config import IntakeConfig
from trigger_ml.core.documents.base import read
from trigger_ml.core.documents.intake import DELIVERY
from trigger_ml.core.documents.resources import RESOURCES
from trigger_ml.core.documents.verification import VERIFICATION
from trigger_ml.core.errors import InputError, MappingError, StageError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.vectors import read_vectors
from trigger_ml.intake import deliver as verb
from trigger_ml.intake.deliver import deliver
from trigger_ml.intake.inputs import fitting_type
from trigger_ml.models.given import GivenModel

K = tf_keras.layers


def test_a_quantized_model_is_taken_as_it_is(delivered: Case) -> None:
    """Every engine has the bits of QKeras, on the owner's inputs and on corners."""
    expected = delivered.model.predict(delivered.values.astype(np.float32), verbose=0).astype(np.float64)
    found = read(delivered.output / layout.VERIFICATION, VERIFICATION)
    assert set(found.backends) >= {"qkeras", "onnx", "rtl", "rtl_disturbed"}
    assert {name: result.mismatches for name, result in found.backends.items()} == dict.fromkeys(
        found.backends, 0
    )
    assert found.events == 50
    manifest, vectors = read_vectors(delivered.output / layout.VECTORS)
    assert set(vectors) == {"features", "fc", "relu", "out"}
    np.testing.assert_array_equal(vectors["features"], delivered.values[[0, 12, 24, 36]] * 64)
    fraction = manifest["nodes"]["out"]["type"]["fraction"]
    np.testing.assert_array_equal(np.ldexp(vectors["out"], -fraction), expected[[0, 12, 24, 36]])


def test_the_summary_says_what_was_brought(delivered: Case) -> None:
    made = read(delivered.output / layout.DELIVERY, DELIVERY)
    assert (made.name, made.input, made.quantized) == ("jets", "fixed<10,4>", True)
    assert made.inputs == "50 from x.npy"
    assert made.agreement is not None
    assert (made.agreement.events, made.agreement.outputs, made.agreement.largest) == (50, 2, 0)
    page = (delivered.output / "README.md").read_text()
    assert "`firmware/rtl/`: the RTL project" in page
    assert "| onnx, bit for bit | 0 mismatches in 50 events" in page
    resources = read(delivered.output / layout.RESOURCES, RESOURCES)
    assert resources.hls is None
    assert resources.rtl is not None
    # simulated, and equal to the model of the clocks
    assert [clocks.source for clocks in resources.rtl.clocks] == ["clock model", "simulation"]


def state(folder: Path) -> dict[str, tuple[int, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def test_the_same_again_changes_nothing(
    delivered: Case, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "bring", lambda *_: pytest.fail("it was done before"))
    before = state(delivered.output)
    deliver(delivered.path, delivered.output, settings(), quiet, inputs=delivered.inputs)
    assert state(delivered.output) == before


def test_a_failure_leaves_what_was_there(
    delivered: Case, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StageError("disk", "full", "Free space")

    before = state(delivered.output)
    monkeypatch.setattr(verb, "write_resources", full)
    with pytest.raises(StageError):
        deliver(delivered.path, delivered.output, settings(seed=2), quiet, inputs=delivered.inputs)
    assert state(delivered.output) == before
    assert not list(delivered.output.parent.glob(".partial*"))


def test_somebody_elses_folder_is_left_alone(delivered: Case, quiet: Console, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="is not empty, and holds no firmware"):
        deliver(delivered.path, tmp_path, settings(), quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_network_file_gives_the_same_firmware(delivered: Case, quiet: Console, tmp_path: Path) -> None:
    shutil.copy(delivered.output / layout.NETWORK, tmp_path / "net.npz")
    both = settings(firmware={"vectors": 4, "hls": None})
    made = deliver(tmp_path / "net.npz", tmp_path / "out", both, quiet, inputs=delivered.inputs)
    assert made.agreement is None
    for name in ("out", "relu"):
        first, second = (
            read_vectors(folder / layout.VECTORS)[1][name] for folder in (delivered.output, tmp_path / "out")
        )
        np.testing.assert_array_equal(first, second)


def test_a_float_model_is_quantized_on_its_inputs(quiet: Console, tmp_path: Path) -> None:
    """A signed map, an average of it that must keep its sign, a convolution, one logit."""
    tf_keras.utils.set_random_seed(3)
    x = tf_keras.Input((6, 6, 2), name="map")
    y = K.AveragePooling2D(2, name="mean")(x)
    y = K.Conv2D(3, 2, activation="relu", name="conv")(y)
    model = tf_keras.Model(x, K.Dense(1, activation="sigmoid", name="head")(K.Flatten(name="flat")(y)))
    model.save(tmp_path / "m.keras")
    values = np.random.default_rng(1).normal(0, 1, (60, 6, 6, 2))
    np.save(tmp_path / "x.npy", values)
    config = settings(firmware={"hls": None, "rtl": None, "vectors": 4})
    made = deliver(tmp_path / "m.keras", tmp_path / "out", config, quiet, inputs=tmp_path / "x.npy")
    network = serialize.load(tmp_path / "out" / layout.NETWORK)
    assert network.types["mean_q"].signed
    assert made.input == "fixed<16,3>"
    assert any("inputs' numbers change" in note for note in made.notes)
    # 8 bits: close to the logit of the owner's probability, and not equal
    assert made.agreement is not None
    probability = model.predict(values.astype(np.float32), verbose=0)[:, 0].astype(np.float64)
    logit = np.log(probability / (1 - probability))
    assert 0 < made.agreement.rms < 0.05 * logit.std()
    assert made.agreement.same > 0.9


def test_without_inputs_it_says_so(tmp_path: Path) -> None:
    from trigger_ml.intake.subject import bring, converted

    jets().save(tmp_path / "m.h5", save_format="h5")
    subject = converted(bring(tmp_path / "m.h5"), settings())
    assert subject.inputs.origin == "40 random ones over the whole range of fixed<16,6>"
    assert subject.notes == (
        "the input is taken for fixed<16,6>: say what it is in --config (input: ufixed<8,0>)",
    )
    named = converted(bring(tmp_path / "m.h5"), settings(input="ap_fixed<8,3>"))
    assert (str(named.network.input.dtype), named.notes) == ("fixed<8,3>", ())
    counts = named.inputs.counts
    assert (counts.min() < -100, counts.max() > 100) == (True, True)


def test_the_input_is_the_first_quantizers(tmp_path: Path) -> None:
    from qkeras import QActivation, quantized_bits

    from trigger_ml.intake.subject import bring, converted

    x = tf_keras.Input((6,), name="x")
    inner = jets()
    model = tf_keras.Model(x, inner(QActivation(quantized_bits(7, 2, alpha=1), name="entry")(x)))
    model.save(tmp_path / "m.h5", save_format="h5")
    subject = converted(bring(tmp_path / "m.h5"), settings())
    assert subject.network.input.dtype == FixedPoint(True, 7, 4)
    # it changes no value of that type, so firmware has none
    assert [node.name for node in subject.network.nodes] == ["x", "fc", "relu", "out"]


def test_a_converted_model_must_be_the_owners(delivered: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    from trigger_ml.intake.subject import bring, converted

    brought = bring(delivered.path)
    other = jets()
    other.set_weights([weights + 0.25 for weights in other.get_weights()])
    with pytest.raises(StageError, match="converted it differs from itself in Keras"):
        converted(replace(brought, given=GivenModel("Keras", other, brought.given.twin)), settings())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 255.0], "ufixed<8,8>"),
        ([-1.0, 0.75], "fixed<3,1>"),
        ([0.1, 0.9], "ufixed<16,0>"),
        ([-3.3, 100.7], "fixed<16,8>"),
        ([0.0], "ufixed<1,1>"),
    ],
)
def test_a_type_that_holds_the_inputs(values: list[float], expected: str) -> None:
    assert str(fitting_type(np.array(values))) == expected


def test_names_of_types() -> None:
    for text, dtype in {
        "fixed<16,6>": FixedPoint(True, 16, 10),
        "ap_ufixed<8, 0>": FixedPoint(False, 8, 8),
        "uint<8>": FixedPoint(False, 8, 0),
        "ap_int<12>": FixedPoint(True, 12, 0),
        "ufixed<4,-2>": FixedPoint(False, 4, 6),
    }.items():
        assert FixedPoint.parse(text) == dtype
        assert FixedPoint.parse(str(dtype)) == dtype
    for text in ("fixed<16>", "int<8,8>", "float", "fixed<0,0>"):
        with pytest.raises(ValueError, match=r"is no type|outside"):
            FixedPoint.parse(text)


def test_a_layer_without_equivalent_is_named_with_the_file(quiet: Console, tmp_path: Path) -> None:
    x = tf_keras.Input((4, 4, 1))
    model = tf_keras.Model(x, K.Dense(1)(K.Flatten()(K.UpSampling2D(2, name="up")(x))))
    model.save(tmp_path / "m.h5", save_format="h5")
    with pytest.raises(MappingError, match="up: a UpSampling2D layer has no fixed-point equivalent"):
        deliver(tmp_path / "m.h5", tmp_path / "out", IntakeConfig(), quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["m.h5"]

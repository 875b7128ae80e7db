"""What stands in the way, all at once; what the rest would cost."""

import json
from pathlib import Path
from typing import Any

import pytest
from brought import Case, settings

from trigger_ml.core import layout
from trigger_ml.core.config import IntakeConfig
from trigger_ml.core.documents.base import parse, plain, read
from trigger_ml.core.documents.intake import ESTIMATE
from trigger_ml.core.documents.resources import RESOURCES
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.ir.ops import NODE_TYPES
from trigger_ml.intake.catalogue import BACKENDS, layer_rows, markdown, op_rows
from trigger_ml.intake.costing import estimate
from trigger_ml.intake.preflight import preflight, refusals_of
from trigger_ml.models.size import model_size

K = tf_keras.layers


def crooked() -> Any:
    """Three layers that firmware has no equivalent of, and a vector too long for RTL's register."""
    x = tf_keras.Input((48, 48, 1), name="counts")
    y = K.Conv2D(2, 3, padding="same", name="first")(x)
    y = K.UnitNormalization(name="curve")(y)
    y = K.Conv2D(2, 3, padding="same", name="second")(y)
    y = K.UnitNormalization(name="curve2")(y)
    y = K.UnitNormalization(name="unit")(y)
    y = K.Conv2D(2, 3, padding="same", activation="relu", name="third")(y)
    return tf_keras.Model(x, K.Dense(1, name="head")(K.Flatten(name="flat")(y)), name="crooked")


@pytest.fixture(scope="module")
def crooked_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crooked") / "m.h5"
    tf_keras.utils.set_random_seed(1)
    crooked().save(path, save_format="h5")
    return path


def test_all_refusals_at_once(crooked_file: Path) -> None:
    found = refusals_of(crooked_file, settings())
    assert {(r.layer, r.kind) for r in found.refusals if r.by == "conversion"} == {
        ("curve", "UnitNormalization"),
        ("curve2", "UnitNormalization"),
        ("unit", "UnitNormalization"),
    }
    assert all(refusal.why and refusal.remedy for refusal in found.refusals)
    # what a backend refuses, behind them all, is found through their stand-ins
    (flat,) = [refusal for refusal in found.refusals if refusal.layer == "flat"]
    assert flat.by == "RTL, streaming"
    assert "4608 values would be held in one register" in flat.why
    assert (found.input, found.not_looked_at) == ("ufixed<8,0>", ())


def test_a_layer_that_cannot_be_passed_by_cuts_the_model(tmp_path: Path) -> None:
    x = tf_keras.Input((8, 8, 1), name="counts")
    y = K.UpSampling2D(2, name="up")(K.Conv2D(2, 3, activation="relu", name="conv")(x))
    model = tf_keras.Model(x, K.Dense(1, name="head")(K.GlobalAveragePooling2D(name="pool")(y)))
    model.save(tmp_path / "m.h5", save_format="h5")
    found = preflight(tmp_path / "m.h5", settings())
    assert [refusal.layer for refusal in found.refusals] == ["up"]
    assert found.lost == ("head", "pool")
    assert found.network is not None
    assert [node.name for node in found.network.nodes][:2] == ["counts", "conv"]


def test_a_quantized_model_is_looked_at_layer_by_layer(tmp_path: Path) -> None:
    from qkeras import QActivation, QConv2D, quantized_bits, quantized_relu

    bits = quantized_bits(6, 0, alpha=1)
    x = tf_keras.Input((6, 6, 1), name="counts")
    y = QConv2D(2, 3, kernel_quantizer=bits, bias_quantizer=bits, name="conv")(x)
    y = K.UnitNormalization(name="unit")(QActivation(quantized_relu(6), name="relu")(y))
    y = K.LayerNormalization(name="norm")(
        QConv2D(2, 2, kernel_quantizer=bits, bias_quantizer=bits, name="last")(y)
    )
    tf_keras.Model(x, y).save(tmp_path / "m.h5", save_format="h5")
    found = refusals_of(tmp_path / "m.h5", settings())
    assert [refusal.layer for refusal in found.refusals] == ["unit", "norm"]


def test_what_can_be_built_is_not_refused(delivered: Case) -> None:
    assert refusals_of(delivered.path, settings()).refusals == ()
    assert refusals_of(delivered.output / layout.NETWORK, settings()).refusals == ()


def test_an_estimate_is_what_the_verb_predicts(delivered: Case) -> None:
    found = estimate(delivered.path, settings(input="fixed<10,4>"))
    assert (found.parameters, found.macs) == (6 * 5 + 5 + 5 * 2 + 2, 6 * 5 + 5 * 2)
    assert found.macs == model_size(delivered.model).macs
    assert [layer.layer for layer in found.layers] == ["fc", "relu", "out"]
    streaming, unrolled = found.styles
    rtl = read(delivered.output / layout.RESOURCES, RESOURCES).rtl
    assert rtl is not None
    total = next(figure for figure in rtl.figures if figure.layer == "total")
    assert (streaming.lut, streaming.ff) == (total.lut, total.ff)
    assert (streaming.lut_low, streaming.lut_high) == (total.lut_low, total.lut_high)
    # the simulation counted them
    assert (streaming.interval, streaming.latency) == (rtl.clocks[1].interval, rtl.clocks[1].latency)
    # modules are all of the design here: no buffers between
    assert sum(layer.streaming_lut or 0 for layer in found.layers) == streaming.lut
    assert unrolled.lut is not None
    content = json.loads(json.dumps(plain(found, everything=True)))
    assert parse(content, ESTIMATE, "estimate") == found


def test_an_estimate_without_what_is_not_held(crooked_file: Path) -> None:
    found = estimate(crooked_file, settings())
    held = {layer.layer: layer.held for layer in found.layers}
    assert [name for name, is_held in held.items() if not is_held] == ["curve", "curve2", "unit", "flat"]
    assert (found.parameters, found.macs) == (
        model_size(crooked()).parameters,
        model_size(crooked()).macs,
    )
    streaming, unrolled = found.styles
    assert streaming.reason is not None
    assert "values would be held in one register" in streaming.reason
    assert unrolled.reason is not None
    assert "a layer is not held" in unrolled.reason


def test_the_catalogue_knows_every_op_and_layer() -> None:
    assert [row[0] for row in op_rows()] == [op for op in NODE_TYPES if op != "input"]
    assert {len(row) for row in op_rows()} == {1 + len(BACKENDS)}
    assert "no entry" not in str(op_rows())
    rows = {kind: (float_, quantized) for kind, float_, quantized in layer_rows()}
    assert rows["Conv2D"][0] == "QConv2D"
    assert "conv2d" in rows["QConv2D"][1]
    assert rows["Dropout"] == ("left out", "costs nothing")


def test_the_page_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "support.md"
    assert page.read_text() == markdown(), "write it again: trigger-ml support -o docs/support.md"


def test_keras_3_layers_without_equivalent_are_gathered(tmp_path: Path) -> None:
    import keras

    x = keras.Input((8, 8, 1))
    y = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")(x)
    y = keras.layers.LayerNormalization(name="norm")(y)
    y = keras.layers.GroupNormalization(groups=1, name="group")(y)
    y = keras.layers.GlobalAveragePooling2D(name="pool")(y)
    keras.Model(x, keras.layers.Dense(1, name="head")(y)).save(tmp_path / "m.keras")
    found = estimate(tmp_path / "m.keras", IntakeConfig())
    assert [refusal.layer for refusal in found.refusals] == ["norm", "group"]
    assert found.styles[0].lut is not None
    assert {layer.layer: layer.held for layer in found.layers}["head"]

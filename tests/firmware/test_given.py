"""Models as their owners have them: a network is compared with the model brought, not with a copy of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qkeras import QActivation, QDense, quantized_bits, quantized_relu

from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.engines.keras import KerasBackend
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.ir.interpreter import logits
from trigger_ml.models.files import load_model, open_model
from trigger_ml.models.heads import without_squashing

K = tf_keras.layers
INPUT = FixedPoint(False, 8, 8)
COUNTS = np.random.default_rng(0).integers(0, 256, (40, 16))


def integers(values: Any, low: int, high: int, last_bit: float) -> np.ndarray:
    """A quantizer by hand: the nearest integer, saturated."""
    return np.clip(np.rint(np.asarray(values, dtype=np.float64) / last_bit), low, high).astype(np.int64)


QUANTIZERS = {
    "signed": (lambda: quantized_bits(6, 0, alpha=1), (-32, 31)),
    "symmetric": (lambda: quantized_bits(6, 0, 1, alpha=1), (-31, 31)),
    "unsigned": (lambda: quantized_bits(5, 0, keep_negative=False, alpha=1), (0, 31)),
}


@pytest.mark.parametrize("kind", QUANTIZERS)
@pytest.mark.parametrize("ending", ["layer", "inside"])
def test_two_quantized_classes_by_hand(tmp_path: Path, kind: str, ending: str) -> None:
    make, limits = QUANTIZERS[kind]
    x = tf_keras.Input((16,), name="counts")
    settings = {"activation": "softmax"} if ending == "inside" else {}
    z = QDense(2, kernel_quantizer=make(), bias_quantizer=make(), name="head", **settings)(x)
    model = tf_keras.Model(x, z if ending == "inside" else K.Activation("softmax", name="last")(z))
    # beyond the range, so that columns saturate one by one
    weights = [np.random.default_rng(1).normal(0, 0.8, shape) for shape in ((16, 2), (2,))]
    model.set_weights(weights)
    model.save(tmp_path / "two.h5", save_format="h5")
    kernel, bias = (integers(np.float32(w), *limits, 2.0**-5) for w in weights)
    columns = COUNTS @ kernel + (bias << 8)
    expected = columns[:, 1] - columns[:, 0]
    network = extract(load_model(tmp_path / "two.h5"), input_type=INPUT)
    np.testing.assert_array_equal(logits(network, COUNTS)["head"][:, 0], expected)
    given = KerasBackend(open_model(tmp_path / "two.h5").native, network)
    np.testing.assert_array_equal(given.run(COUNTS)["head"][:, 0], expected)
    assert set(given.taps(COUNTS)) == {"counts"}


def test_quantized_logits_are_subtracted_as_they_are() -> None:
    x = tf_keras.Input((16,), name="counts")
    bits = quantized_bits(6, 0, alpha=1)
    z = QDense(2, kernel_quantizer=bits, bias_quantizer=bits, bias_initializer="random_normal", name="head")(
        x
    )
    z = QActivation(quantized_bits(4, 1, alpha=1), name="coarse")(z)
    model = tf_keras.Model(x, K.Softmax(name="last")(z))
    network = extract(without_squashing(model), input_type=INPUT)
    kernel, bias = (integers(w, -32, 31, 2.0**-5) for w in model.get_layer("head").get_weights())
    # 13 bits of fraction to 2, half to even
    coarse = integers(COUNTS @ kernel + (bias << 8), -8, 7, 2.0**11)
    assert len(np.unique(coarse)) > 8
    found = logits(network, COUNTS)[network.outputs[0]][:, 0]
    np.testing.assert_array_equal(found, coarse[:, 1] - coarse[:, 0])
    np.testing.assert_array_equal(KerasBackend(model, network).run(COUNTS)[network.outputs[0]][:, 0], found)


def test_an_activation_before_the_softmax_is_part_of_the_model(tmp_path: Path) -> None:
    """Two quantized outputs of three bits: their difference, by hand, not that of the sums before."""
    x = tf_keras.Input((16,), name="counts")
    bits = quantized_bits(6, 0, alpha=1)
    coarse = quantized_bits(4, 1, alpha=1)
    z = QDense(2, kernel_quantizer=bits, bias_quantizer=bits, activation=coarse, name="head")(x)
    model = tf_keras.Model(x, K.Softmax()(z))
    weights = [np.random.default_rng(5).normal(0, 0.3, shape) for shape in ((16, 2), (2,))]
    model.set_weights(weights)
    kernel, bias = (integers(np.float32(w), -32, 31, 2.0**-5) for w in weights)
    columns = integers(COUNTS @ kernel + (bias << 8), -8, 7, 2.0**11)
    logit = without_squashing(model).predict((COUNTS / 256).astype(np.float32), verbose=0)[:, 0]
    np.testing.assert_array_equal(logit, (columns[:, 1] - columns[:, 0]) / 4)


@pytest.mark.parametrize("squash", ["softmax", "sigmoid"])
def test_a_relu_before_the_last_layer_stays(squash: str) -> None:
    x = tf_keras.Input((16,), name="counts")
    z = K.Dense(2 if squash == "softmax" else 1, activation="relu", name="head")(x)
    model = tf_keras.Model(x, K.Activation(squash)(z))
    features = np.random.default_rng(6).normal(0, 1, (40, 16)).astype(np.float32)
    dense = tf_keras.Model(x, z).predict(features, verbose=0)
    assert (dense == 0).any()
    expected = dense[:, 1] - dense[:, 0] if squash == "softmax" else dense[:, 0]
    found = without_squashing(model).predict(features, verbose=0)[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_scaled_head_is_refused_by_its_own_name() -> None:
    x = tf_keras.Input((16,), name="counts")
    auto = quantized_bits(4, 0, 1, alpha="auto")
    z = QDense(2, kernel_quantizer=auto, bias_quantizer=quantized_bits(4), name="head")(x)
    model = without_squashing(tf_keras.Model(x, K.Softmax()(z)))
    with pytest.raises(MappingError, match=r"layer head .*alpha='auto'"):
        extract(model, input_type=INPUT)


def test_wide_numbers_are_qkeras_in_float64() -> None:
    """Sums of 29 bits, by hand; QKeras' float32 has 24."""
    x = tf_keras.Input((16,), name="counts")
    bits = quantized_bits(16, 0, alpha=1)
    y = QDense(8, kernel_quantizer=bits, bias_quantizer=bits, name="hidden")(x)
    y = QActivation(quantized_relu(14, 2), name="relu")(y)
    y = QDense(1, kernel_quantizer=bits, bias_quantizer=bits, bias_initializer="random_normal", name="head")(
        y
    )
    model = tf_keras.Model(x, y)
    network = extract(model, input_type=FixedPoint(False, 12, 12))
    counts = np.random.default_rng(2).integers(0, 4096, (400, 16))
    (k1, b1), (k2, b2) = (
        [integers(w, -(2**15), 2**15 - 1, 2.0**-15) for w in model.get_layer(name).get_weights()]
        for name in ("hidden", "head")
    )
    hidden = integers(counts @ k1 + (b1 << 12), 0, 2**14 - 1, 2.0**15)
    expected = hidden @ k2 + (b2 << 12)
    np.testing.assert_array_equal(logits(network, counts)["head"], expected)
    backend = KerasBackend(model, network)
    np.testing.assert_array_equal(backend.run(counts)["head"], expected)
    np.testing.assert_array_equal(backend.taps(counts)["relu"], hidden)
    assert backend.type_of("head") == "float64"
    single = model.predict((counts / 4096).astype(np.float32), verbose=0).astype(np.float64) * 2.0**27
    assert (single != expected).any()
    assert tf_keras.backend.floatx() == "float32"


def test_what_no_file_keeps_holds_in_float64_too() -> None:
    """An upper bound counts only with is_quantized_clip off, which QKeras writes into no configuration."""
    x = tf_keras.Input((16,), name="counts")
    bits = quantized_bits(16, 0, alpha=1)
    y = QDense(8, kernel_quantizer=bits, bias_quantizer=bits, name="hidden")(x)
    bounded = quantized_relu(14, 2, relu_upper_bound=0.5, is_quantized_clip=False)
    y = QActivation(bounded, name="relu")(y)
    y = QDense(1, kernel_quantizer=bits, bias_quantizer=bits, name="head")(y)
    model = tf_keras.Model(x, y)
    network = extract(model, input_type=FixedPoint(False, 12, 12))
    counts = np.random.default_rng(2).integers(0, 4096, (40, 16))
    backend = KerasBackend(model, network)
    assert backend.type_of("head") == "float64"
    relu = backend.taps(counts)["relu"]
    assert relu.max() == 1 << (network.types["relu"].fraction - 1)
    np.testing.assert_array_equal(backend.run(counts)["head"], logits(network, counts)["head"])


def test_sequential_models_are_models(tmp_path: Path) -> None:
    bits = quantized_bits(6, 0, alpha=1)
    model = tf_keras.Sequential(
        [
            QDense(8, input_shape=(16,), kernel_quantizer=bits, bias_quantizer=bits, name="fc"),
            QActivation(quantized_relu(6), name="relu"),
            QDense(1, kernel_quantizer=bits, bias_quantizer=bits, name="out"),
        ]
    )
    model.save(tmp_path / "m.h5", save_format="h5")
    networks = [extract(m, input_type=INPUT) for m in (model, load_model(tmp_path / "m.h5"))]
    expected = model.predict((COUNTS / 256).astype(np.float32), verbose=0).astype(np.float64)
    for network in networks:
        found = np.ldexp(logits(network, COUNTS)["out"].astype(np.float64), -network.types["out"].fraction)
        np.testing.assert_array_equal(found, expected)
    shapeless = tf_keras.Sequential([K.Dense(1)])
    with pytest.raises(MappingError, match="does not say the shape of its input"):
        extract(shapeless, input_type=INPUT)

"""LiteRT's quantizations against the model that they are made from."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from trigger_ml.compression.litert import LiteRtModel, convert
from trigger_ml.core.errors import StageError
from trigger_ml.core.keras2 import tf, tf_keras

BITS = 8


@pytest.fixture(scope="module")
def model():
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(3)
    x = counts = tf_keras.Input((8, 8, 2), name="counts")
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(x)
    gate = layers.Dense(8, activation="sigmoid", name="gate")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Flatten()(layers.Multiply()([x, gate]))
    return tf_keras.Model(counts, layers.Dense(1, name="head")(x))


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 2**BITS, (50, 8, 8, 2)).astype(np.uint8)


def values(counts: np.ndarray) -> np.ndarray:
    return (counts / 2**BITS).astype(np.float32)


def test_float16_is_the_model_of_rounded_weights(model, counts: np.ndarray) -> None:
    content = convert(model, "float16", values(counts))
    rounded = tf_keras.models.clone_model(model)
    rounded.set_weights([w.astype(np.float16).astype(np.float32) for w in model.get_weights()])
    found = LiteRtModel(content).predict(counts, BITS, 16)
    np.testing.assert_allclose(found, rounded(values(counts)), atol=1e-5)
    assert np.abs(found - model(values(counts)).numpy()).max() > 1e-5


@pytest.mark.parametrize(("scheme", "error"), [("dynamic", 0.03), ("int8", 0.15)])
def test_eight_bits_are_close(model, counts: np.ndarray, scheme, error: float) -> None:
    content = convert(model, scheme, values(counts))
    found = LiteRtModel(content).predict(counts, BITS, 7)
    expected = model(values(counts)).numpy()
    assert found.shape == expected.shape
    assert 0 < np.abs(found - expected).max() < error * np.ptp(expected)
    assert len(np.unique(found)) > 10


def test_int8_computes_in_integers(model, counts: np.ndarray) -> None:
    def floats(content: bytes) -> int:
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        kinds = [tensor["dtype"] for tensor in interpreter.get_tensor_details() if len(tensor["shape"])]
        return sum(kind is np.float32 for kind in kinds)

    # its input and its output alone
    assert floats(convert(model, "int8", values(counts))) == 2
    assert floats(convert(model, "float16", values(counts))) > 2


def test_no_events_no_answers(model, counts: np.ndarray) -> None:
    content = convert(model, "dynamic", values(counts))
    assert LiteRtModel(content).predict(counts[:0], BITS, 16).shape == (0, 1)


def test_an_operator_that_litert_lacks_is_named() -> None:
    x = tf_keras.Input((3, 3), name="counts")
    y = tf_keras.layers.Lambda(lambda m: tf.linalg.inv(m), name="inverse")(x)
    with pytest.raises(StageError, match=r"^LiteRT, dynamic: the model is not converted \(.*"):
        convert(tf_keras.Model(x, y), "dynamic", np.zeros((0, 3, 3), np.float32))

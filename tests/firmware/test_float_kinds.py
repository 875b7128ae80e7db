"""Kinds of layers of a float model: folded, quantized and read off, each is its quantized model."""

import numpy as np
import pytest
from test_layer_kinds import counts_of, keras_values, normalized

from trigger_ml.compression.fold import fold_batch_norm
from trigger_ml.compression.quantization import quantized_twin, snap_weights
from trigger_ml.core.config import BitsConfig, QuantizationConfig
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.ir.interpreter import evaluate

K = tf_keras.layers
INPUT = FixedPoint(False, 6, 6)


def conv(x, filters=3, size=3, **options):
    return K.Conv2D(filters, size, **{"padding": "same", "bias_initializer": "random_normal", **options})(x)


def relu(x):
    return K.ReLU()(x)


KINDS = {
    "normalization after a ReLU": lambda x: conv(normalized()(relu(conv(x)))),
    "normalization of the input": lambda x: relu(conv(normalized()(x))),
    "normalization after pooling": lambda x: relu(normalized()(K.MaxPooling2D(2)(relu(conv(x))))),
    "normalization of an addition": lambda x: relu(normalized()(K.Add()([conv(x), conv(x, size=1)]))),
    "normalization of a vector": lambda x: relu(normalized()(K.GlobalMaxPooling2D()(relu(conv(x))))),
    "tanh inside": lambda x: conv(x, activation="tanh"),
    "leaky ReLU": lambda x: K.LeakyReLU(0.2)(conv(x)),
    "ReLU with a limit": lambda x: K.ReLU(1.0)(conv(x)),
    "swish": lambda x: conv(conv(x, activation="swish")),
    "separable": lambda x: relu(normalized()(K.SeparableConv2D(4, 3, padding="same")(x))),
    "dilated": lambda x: relu(conv(x, dilation_rate=2)),
    "maximum, 'same'": lambda x: conv(K.MaxPooling2D(3, 2, padding="same")(relu(conv(x)))),
    "Keras' ResNet stem": lambda x: conv(
        K.MaxPooling2D(3, 2)(
            K.ZeroPadding2D(1)(relu(normalized()(conv(K.ZeroPadding2D(2)(x), padding="valid", strides=2))))
        )
    ),
    "average of 3 x 3": lambda x: relu(conv(K.AveragePooling2D(3, 1)(relu(conv(x))))),
    "averages and maxima joined": lambda x: K.Concatenate()(
        [K.GlobalAveragePooling2D()(relu(conv(x))), K.GlobalMaxPooling2D()(relu(conv(x)))]
    ),
    "series": lambda x: relu(
        K.Conv1D(3, 3, padding="same")(K.MaxPooling1D(2)(relu(K.Conv1D(2, 3, name="first")(x))))
    ),
    "average of a series": lambda x: K.GlobalAveragePooling1D()(relu(K.Conv1D(2, 3)(x))),
    "vector": lambda x: K.Dense(5, activation="relu")(normalized()(K.Dense(8, activation="relu")(x))),
}
SIZES = {"series": (24, 2), "average of a series": (24, 2), "vector": (10,)}


def model_of(kind):
    tf_keras.utils.set_random_seed(1)
    x = counts = K.Input(SIZES.get(kind, (9, 8, 2)), name="counts")
    x = KINDS[kind](x)
    if len(x.shape) > 2:
        x = K.Flatten()(x)
    return tf_keras.Model(counts, K.Dense(1, name="logit")(x))


@pytest.mark.parametrize("kind", KINDS)
def test_a_float_kind_becomes_firmware(kind):
    model = model_of(kind)
    folded = fold_batch_norm(model)
    x = (np.random.default_rng(0).integers(0, 64, (60, *model.input_shape[1:])) / 64).astype(np.float32)
    expected = np.asarray(model(x))
    wide = BitsConfig(weights=14, bias=18, activations=12)
    fine = quantized_twin(folded, QuantizationConfig(default=wide, pooled_bits=14, coverage=1.0), INPUT, x)
    np.testing.assert_allclose(fine(x), expected, atol=4e-3 * np.abs(expected).max())
    twin = quantized_twin(folded, QuantizationConfig(), INPUT, x)
    snap_weights(twin)
    network = extract(twin, input_type=INPUT)
    counts = counts_of(network, 40)
    found = evaluate(network, counts)
    for name, values in keras_values(twin, network, counts).items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert np.unique(found["logit"]).size > 10

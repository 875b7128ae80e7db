"""The unit of a model's input and the layers before its first weights, against the model as it was given."""

from typing import Any

import keras
import numpy as np
import pytest

from trigger_ml.core.errors import MappingError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.ctlearn import from_keras3
from trigger_ml.models.front import fold_front

K = tf_keras.layers
V = np.random.default_rng(3).integers(0, 256, (6, 7, 5, 2)) / 256


def normalizing(kind: str, name: str = "front") -> Any:
    if kind == "batch":
        return K.BatchNormalization(
            name=name,
            beta_initializer=tf_keras.initializers.Constant([0.5, -2.0]),
            gamma_initializer=tf_keras.initializers.Constant([1.5, -0.5]),
            moving_mean_initializer=tf_keras.initializers.Constant([3.0, 7.0]),
            moving_variance_initializer=tf_keras.initializers.Constant([4.0, 0.25]),
        )
    if kind == "normal":
        return K.Normalization(mean=[3.0, 7.0], variance=[4.0, 0.25], name=name)
    return K.Rescaling([0.1, 3.0], [0.0, -1.0], name=name)


def model(*layers: Any) -> Any:
    y = x = tf_keras.Input((7, 5, 2), name="counts")
    for layer in layers:
        y = layer(y)
    y = K.ReLU()(y)
    y = y if len(y.shape) == 2 else K.GlobalAveragePooling2D()(y)
    made = tf_keras.Model(x, K.Dense(1, name="head")(y))
    rng = np.random.default_rng(4)
    made.set_weights([w + 0.3 * rng.random(w.shape) for w in made.get_weights()])
    return made


def conv(**settings: Any) -> Any:
    return K.Conv2D(3, 3, name="conv", **{"bias_initializer": "random_normal", **settings})


CASES: dict[str, tuple[list[Any], Any, Any]] = {
    "a factor": ([conv(padding="same")], 128.0, 0.0),
    "by channel": ([conv(padding="same", use_bias=False)], [128.0, 3.0], 0.0),
    "a summand": ([conv(use_bias=False)], 64.0, [2.0, -1.0]),
    "into a depthwise kernel": ([K.DepthwiseConv2D(3, name="deep")], [64.0, 2.0], [1.0, -3.0]),
    "into a dense kernel": ([K.Flatten(), K.Dense(4, name="dense")], [64.0, 2.0], [1.0, -3.0]),
    "through pooling": (
        [K.MaxPooling2D(2), K.AveragePooling2D((1, 2)), K.Dropout(0.5), K.Conv2D(3, 1, name="conv")],
        [9.0, 2.0],
        1.0,
    ),
    "through zeros": ([K.ZeroPadding2D(2), conv()], [9.0, 2.0], 0.0),
    "rescaling": ([normalizing("scale"), conv()], 1.0, 0.0),
    "normalization": ([normalizing("normal"), K.Conv2D(3, 1, name="conv")], 128.0, 0.5),
    "batch normalization": ([normalizing("batch"), conv(use_bias=False)], 128.0, 0.0),
    "two of them": ([normalizing("scale", "first"), normalizing("batch"), conv()], [2.0, 4.0], 0.0),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_folded_model_is_the_same_function(case: str) -> None:
    layers, scale, offset = CASES[case]
    given = model(*layers)
    folded = fold_front(given, scale, offset)
    expected = given((V * np.asarray(scale) + np.asarray(offset)).astype(np.float32)).numpy()
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(folded(V.astype(np.float32)), expected, rtol=2e-5, atol=2e-5)
    assert not {"front", "first"} & {layer.name for layer in folded.layers}


def test_a_model_of_fractions_is_left_alone() -> None:
    given = model(conv(padding="same"))
    assert fold_front(given) is given


REFUSED: dict[str, tuple[list[Any], Any, Any, str]] = {
    "another axis": (
        [K.BatchNormalization(axis=1, name="rows"), conv()], 1.0, 0.0, r"rows: normalizes along axes \(1,\)",
    ),
}  # fmt: skip


STANDING: dict[str, tuple[list[Any], Any, Any, str]] = {
    "shifted zeros": ([conv(padding="same")], 1.0, 0.5, "conv"),
    "normalized zeros": ([normalizing("batch"), conv(padding="same")], 1.0, 0.0, "conv"),
    "zeros after a shift": ([normalizing("scale"), K.ZeroPadding2D(1, name="pad"), conv()], 1.0, 0.0, "pad"),
    "the largest turned round": ([normalizing("batch"), K.MaxPooling2D(2, name="pool")], 1.0, 0.0, "pool"),
    "a curve": ([K.Activation("tanh", name="curve"), conv()], 2.0, 0.0, "curve"),
}  # fmt: skip


@pytest.mark.parametrize("case", STANDING)
def test_what_no_weights_can_take_is_a_layer_of_its_own(case: str) -> None:
    layers, scale, offset, name = STANDING[case]
    given = model(*layers)
    folded = fold_front(given, scale, offset)
    expected = given((V * np.asarray(scale) + np.asarray(offset)).astype(np.float32)).numpy()
    np.testing.assert_allclose(folded(V.astype(np.float32)), expected, rtol=2e-5, atol=2e-5)
    assert folded.get_layer(f"{name}_front").kernel_size == (1, 1)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_folded_exactly_is_named(case: str) -> None:
    layers, scale, offset, expected = REFUSED[case]
    with pytest.raises(MappingError, match=expected):
        fold_front(model(*layers), scale, offset)


@pytest.mark.parametrize("kind", ["Rescaling", "Normalization", "BatchNormalization"])
def test_those_of_keras_3_too(kind: str) -> None:
    layer: Any = {
        "Rescaling": lambda: keras.layers.Rescaling(0.01, 0.2),
        "Normalization": lambda: keras.layers.Normalization(mean=[1.0, 5.0], variance=[4.0, 9.0]),
        "BatchNormalization": lambda: keras.layers.BatchNormalization(beta_initializer="ones"),
    }[kind]()
    given = keras.Sequential(
        [
            keras.Input((7, 5, 2)),
            layer,
            keras.layers.Conv2D(3, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    folded = fold_front(from_keras3(given), 128.0)
    np.testing.assert_allclose(
        folded(V.astype(np.float32)), np.asarray(given((V * 128).astype(np.float32))), rtol=1e-4, atol=1e-4
    )

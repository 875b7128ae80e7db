import numpy as np
import pytest

from trigger_ml.compression.fold import fold_batch_norm
from trigger_ml.core.config import ModelConfig, StageConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.registry import build_model

STAGES = (StageConfig(filters=4), StageConfig(filters=6, strides=2))


def unsettle(model, seed: int = 0) -> None:
    """Give every normalization statistics and factors of its own."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.2, 2, w.shape) for w in layer.get_weights()])
        elif getattr(layer, "use_bias", False):
            layer.bias.assign(rng.normal(size=layer.bias.shape))


def kinds(model) -> set[str]:
    return {type(layer).__name__ for layer in model.layers}


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(stem_filters=4, stages=STAGES),
        ModelConfig(stem_filters=4, stages=STAGES, block="bottleneck", kernel="hexagonal"),
        ModelConfig(stem_filters=4, stages=STAGES, family="cnn", pooling="flatten", head_units=(3,)),
        ModelConfig(stem_filters=4, stages=STAGES, batch_norm=False),
    ],
)
def test_the_function_is_the_same(config: ModelConfig) -> None:
    model = build_model(config, (11, 9, 2), "direction")
    unsettle(model)
    folded = fold_batch_norm(model)
    assert "BatchNormalization" not in kinds(folded)
    images = np.random.default_rng(1).normal(size=(20, 11, 9, 2)).astype(np.float32)
    expected = model(images).numpy()
    np.testing.assert_allclose(folded(images), expected, atol=2e-6 * np.abs(expected).max(), rtol=1e-5)
    # what a mask or pruning set to zero stays zero
    stem, before = folded.get_layer("stem").kernel.numpy(), model.get_layer("stem").kernel.numpy()
    assert np.array_equal(stem == 0, before == 0)


def test_depthwise_dense_dropout_and_inner_activations() -> None:
    layers = tf_keras.layers
    counts = tf_keras.Input((6, 6, 3), name="counts")
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(counts)
    x = layers.BatchNormalization(name="bn1")(x)
    x = layers.Activation("relu", name="act")(x)
    x = layers.Conv2D(4, 1, activation="relu", name="point")(x)
    x = layers.SpatialDropout2D(0.5)(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(5, use_bias=False, name="dense")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.BatchNormalization(name="bn2", scale=False, center=False)(x)
    x = layers.Activation("linear")(x)
    model = tf_keras.Model(counts, layers.Dense(1, name="head")(layers.ReLU(name="last")(x)))
    unsettle(model)
    folded = fold_batch_norm(model)
    assert kinds(folded) == {"InputLayer", "DepthwiseConv2D", "Conv2D", "Dense", "ReLU", "Flatten"}
    assert "point_relu" in [layer.name for layer in folded.layers]
    images = np.random.default_rng(1).normal(size=(20, 6, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(folded(images), model(images), atol=1e-5, rtol=1e-4)


def test_curves_become_layers_of_their_own() -> None:
    x = counts = tf_keras.Input((4, 4, 2), name="counts")
    x = tf_keras.layers.Conv2D(3, 1, activation="sigmoid", name="gate")(x)
    x = tf_keras.layers.Activation("tanh", name="curve")(tf_keras.layers.Conv2D(3, 1, name="c")(x))
    model = tf_keras.Model(counts, tf_keras.layers.Multiply(name="product")([x, x]))
    unsettle(model)
    folded = fold_batch_norm(model)
    assert [layer.name for layer in folded.layers] == [
        "counts", "gate", "gate_sigmoid", "c", "curve", "product",
    ]  # fmt: skip
    assert folded.get_layer("gate").activation.__name__ == "linear"
    images = np.random.default_rng(1).normal(size=(9, 4, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(folded(images), model(images), atol=1e-6)


def ending_with(*extra):
    x = counts = tf_keras.Input((4, 4, 2), name="counts")
    for layer in extra:
        x = layer(x)
    return tf_keras.Model(counts, x)


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ([tf_keras.layers.Activation("log_softmax", name="curve")], "curve"),
        ([tf_keras.layers.Conv2D(2, 1, activation="softmax", name="ends")], "ends"),
    ],
)
def test_what_firmware_lacks_is_named(added: list, named: str) -> None:
    with pytest.raises(MappingError, match=f"^{named}: "):
        fold_batch_norm(ending_with(*added))


def equal_after_folding(model: tf_keras.Model) -> tf_keras.Model:
    """The folded model, which gives what the model gives."""
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            rng = np.random.default_rng(1)
            layer.set_weights([rng.uniform(0.2, 2, w.shape) for w in layer.get_weights()])
    folded = fold_batch_norm(model)
    x = np.random.default_rng(0).uniform(-1, 1, (9, *model.input_shape[1:])).astype(np.float32)
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-4, atol=1e-5)
    assert "BatchNormalization" not in {type(layer).__name__ for layer in folded.layers}
    return folded


L = tf_keras.layers


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (lambda x: L.ReLU()(L.BatchNormalization(name="bn")(L.ReLU()(L.Conv2D(2, 1)(x)))), "DepthwiseConv2D"),
        (lambda x: L.Conv2D(2, 3, padding="same")(L.BatchNormalization(name="bn")(x)), "DepthwiseConv2D"),
        (lambda x: L.Conv2D(2, 3)(L.BatchNormalization(name="bn")(x)), None),
        (lambda x: L.Dense(3)(L.BatchNormalization(name="bn")(L.GlobalMaxPooling2D()(x))), None),
        (lambda x: L.ReLU()(L.BatchNormalization(name="bn")(L.GlobalMaxPooling2D()(x))), "Dense"),
        (lambda x: L.BatchNormalization(name="bn")(x), "DepthwiseConv2D"),
        (lambda x: L.BatchNormalization(name="bn")(L.SeparableConv2D(3, 3, name="two")(x)), None),
    ],
)  # fmt: skip
def test_a_normalization_anywhere_keeps_the_function(body, kind: str | None) -> None:
    counts = tf_keras.Input((4, 4, 2))
    folded = equal_after_folding(tf_keras.Model(counts, body(counts)))
    kinds = {layer.name: type(layer).__name__ for layer in folded.layers}
    assert kinds.get("bn") == kind


def test_normalization_of_a_shared_output_is_a_layer_of_its_own() -> None:
    counts = tf_keras.Input((4, 4, 2))
    x = L.Conv2D(2, 1, name="conv")(counts)
    model = tf_keras.Model(counts, L.Add()([x, L.BatchNormalization(name="bn")(x)]))
    assert type(equal_after_folding(model).get_layer("bn")).__name__ == "DepthwiseConv2D"


def test_a_separable_convolution_is_two_layers() -> None:
    counts = tf_keras.Input((6, 5, 2))
    settings = {"dilation_rate": 2, "depth_multiplier": 2, "activation": "relu", "bias_initializer": "ones"}
    model = tf_keras.Model(counts, L.SeparableConv2D(3, 2, padding="same", name="two", **settings)(counts))
    kinds = [type(layer).__name__ for layer in equal_after_folding(model).layers]
    assert kinds == ["InputLayer", "DepthwiseConv2D", "Conv2D", "ReLU"]

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


def ending_with(*extra):
    x = counts = tf_keras.Input((4, 4, 2), name="counts")
    for layer in extra:
        x = layer(x)
    return tf_keras.Model(counts, x)


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ([tf_keras.layers.BatchNormalization(name="first")], "first"),
        (
            [tf_keras.layers.Conv2D(2, 1, activation="relu"), tf_keras.layers.BatchNormalization(name="b")],
            "b",
        ),
        ([tf_keras.layers.ReLU(max_value=6, name="relu6")], "relu6"),
        ([tf_keras.layers.Activation("tanh", name="curve")], "curve"),
        ([tf_keras.layers.Conv2D(2, 1, activation="elu", name="elu")], "elu"),
    ],
)
def test_what_firmware_lacks_is_named(added: list, named: str) -> None:
    with pytest.raises(MappingError, match=f"^{named}: "):
        fold_batch_norm(ending_with(*added))


def test_normalization_of_a_shared_output_is_refused() -> None:
    counts = tf_keras.Input((4, 4, 2))
    x = tf_keras.layers.Conv2D(2, 1)(counts)
    y = tf_keras.layers.BatchNormalization(name="bn")(x)
    with pytest.raises(MappingError, match=r"^bn: "):
        fold_batch_norm(tf_keras.Model(counts, tf_keras.layers.Add()([x, y])))

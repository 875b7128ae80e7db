"""Averages of batch normalization against each layer's input, computed by a model cut there."""

import numpy as np
import pytest

from trigger_ml.compression.pruning import prunable, wrap
from trigger_ml.core.config import ModelConfig, PruningConfig, StageConfig
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models import normalization
from trigger_ml.models.normalization import chosen_events, measure_averages
from trigger_ml.models.registry import build_model

MODEL = ModelConfig(stem_filters=4, stages=(StageConfig(filters=4), StageConfig(filters=6, strides=2)))


def spoiled(config: ModelConfig = MODEL):
    """A network whose normalizations have averages, scales and offsets of no particular weights."""
    model = build_model(config, (12, 12, 1), "type", seed=1)
    rng = np.random.default_rng(2)
    for weight in model.weights:
        weight.assign(weight + 0.2 * np.abs(rng.normal(size=weight.shape)))
    return model


def events(n: int) -> np.ndarray:
    """Images of which some are ten times brighter than others, as showers are."""
    rng = np.random.default_rng(3)
    bright = rng.choice([20, 200], size=(n, 1, 1, 1), p=[0.9, 0.1])
    return (rng.random((n, 12, 12, 1)) * bright).astype(np.uint8)


def normalizations(model) -> list:
    return [layer for layer in model.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]


@pytest.mark.parametrize("chunk", [7, 256])
@pytest.mark.parametrize("pruned", [False, True])
def test_averages_are_those_of_each_layers_input_in_inference(chunk: int, pruned: bool) -> None:
    model, x = spoiled(), events(90)
    if pruned:
        model = wrap(model, PruningConfig(), 100, dict.fromkeys(prunable(model, PruningConfig()), 0.5))
    weights = {w.name: w.numpy() for w in model.trainable_weights}
    measure_averages(model, x, 8, seed=1, chunk=chunk)
    found = normalizations(model)
    assert len(found) > 4
    for layer in found:
        before = tf_keras.Model(model.input, layer.input)(x.astype(np.float32) / 256, training=False)
        values = before.numpy().astype(np.float64)
        np.testing.assert_allclose(layer.moving_mean, values.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, values.var(axis=(0, 1, 2)), rtol=1e-4)
    for weight in model.trainable_weights:
        np.testing.assert_array_equal(weight.numpy(), weights[weight.name])


def test_averages_of_dense_layers_and_of_a_variance_far_from_zero() -> None:
    inputs = tf_keras.Input((3, 3, 1))
    x = tf_keras.layers.Flatten()(inputs)
    x = tf_keras.layers.Dense(5, bias_initializer=tf_keras.initializers.Constant(1e3))(x)
    norm = tf_keras.layers.BatchNormalization()
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(1)(norm(x)))
    counts = np.random.default_rng(1).integers(0, 256, (64, 3, 3, 1)).astype(np.uint8)
    measure_averages(model, counts, 8, seed=1, chunk=16)
    values = tf_keras.Model(inputs, x)(counts.astype(np.float32) / 256).numpy().astype(np.float64)
    np.testing.assert_allclose(norm.moving_variance, values.var(axis=0), rtol=1e-3)


def test_a_network_without_normalization_is_left_alone() -> None:
    model = spoiled(ModelConfig(stem_filters=4, stages=(StageConfig(filters=4),), batch_norm=False))
    before = model.get_weights()
    measure_averages(model, events(8), 8, seed=1)
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_same_events_each_time_and_fewer_of_large_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = spoiled(), events(600)
    rows = chosen_events(model, x, 4)
    assert len(np.unique(rows)) == len(rows) == 600
    # the largest outputs, the input and the first convolution: 144 numbers of four bytes
    monkeypatch.setattr(normalization, "ROOM", 300 * 144 * 4)
    rows = chosen_events(model, x, 4)
    assert len(rows) == 300
    np.testing.assert_array_equal(rows, chosen_events(model, x, 4))
    assert not np.array_equal(rows, chosen_events(model, x, 5))
    monkeypatch.setattr(normalization, "ROOM", 1)
    assert len(chosen_events(model, x, 4)) == normalization.LEAST

"""A model family from an installed package: its own head on a backbone that was trained elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from plugin_page import block, place_from_page

from trigger_ml.core.config import OWN_FAMILIES, ModelConfig, TrainConfig
from trigger_ml.core.errors import ConfigError, MappingError
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.family import trained_backbone
from trigger_ml.models.files import save_model
from trigger_ml.models.registry import FAMILIES, build_model, family
from trigger_ml.models.training import train

K = tf_keras.layers
SHAPE = (8, 8, 1)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    x = K.Input(SHAPE, name="counts")
    y = K.ReLU(name="last_relu")(K.Conv2D(4, 3, name="conv")(x))
    save_model(
        tf_keras.Model(x, K.Dense(2, name="old")(K.GlobalAveragePooling2D(name="gap")(y))),
        tmp_path / "old.h5",
    )
    return tmp_path / "old.h5"


@pytest.fixture
def chosen(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModelConfig:
    """What the page says to install, and to write into a configuration."""
    monkeypatch.setenv("BACKBONE", str(trained))
    place_from_page(monkeypatch, tmp_path / "site", "transferred")
    return ModelConfig.model_validate(yaml.safe_load(block('transferred = "tr', "yaml"))["model"])


def test_a_frozen_backbone_gets_a_new_head(trained: Path, chosen: ModelConfig, tmp_path: Path) -> None:
    assert FAMILIES.names() == [*OWN_FAMILIES, "transferred"]
    model = build_model(chosen, SHAPE, "direction")
    before = model.get_weights()
    kernel = tf_keras.models.load_model(trained, compile=False).get_layer("conv").get_weights()[0]
    assert np.array_equal(model.get_layer("conv").get_weights()[0], kernel)
    assert [layer.name for layer in model.layers][-3:] == ["pool", "hidden", "head"]
    rng = np.random.default_rng(0)
    counts, y = rng.integers(0, 256, (32, *SHAPE)).astype(np.uint8), rng.normal(size=(32, 2))
    settings = TrainConfig(epochs=1, tensorboard=False)
    train(model, counts, y, (counts, y), settings, bits=8, seed=1, directory=tmp_path, task="direction")
    assert np.array_equal(model.get_layer("conv").get_weights()[0], kernel)
    assert not np.array_equal(model.get_weights()[-2], before[-2])


def test_its_unit_goes_into_the_first_weights(trained: Path) -> None:
    counts = K.Input(SHAPE)
    model = tf_keras.Model(counts, trained_backbone(trained, "conv", scale=64.0)(counts, ModelConfig()))
    old = tf_keras.models.load_model(trained, compile=False)
    values = np.random.default_rng(0).random((3, *SHAPE)).astype(np.float32)
    expected = tf_keras.Model(old.input, old.get_layer("conv").output)(64 * values)
    np.testing.assert_allclose(model(values), expected, rtol=1e-5, atol=1e-4)


def test_what_does_not_fit_is_named(trained: Path) -> None:
    with pytest.raises(MappingError, match=r"old\.h5: has no layer last"):
        trained_backbone(trained, "last")(K.Input(SHAPE), ModelConfig())
    with pytest.raises(MappingError, match=r"takes images of shape \(8, 8, 1\), the events have \(8, 8, 2\)"):
        trained_backbone(trained, "conv")(K.Input((8, 8, 2)), ModelConfig())
    with pytest.raises(ConfigError, match=r"model\.family: resnett: no model family has this name"):
        family("resnett")

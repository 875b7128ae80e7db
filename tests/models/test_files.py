from pathlib import Path

import numpy as np
import pytest

from trigger_ml.core.config import ModelConfig, StageConfig
from trigger_ml.core.errors import InputError
from trigger_ml.models.files import load_model, save_model
from trigger_ml.models.registry import build_model


def test_a_hexagonal_model_survives(tmp_path: Path) -> None:
    config = ModelConfig(stem_filters=2, stages=(StageConfig(filters=2),), kernel="hexagonal")
    model = build_model(config, (8, 8, 1), "type")
    images = np.random.default_rng(0).random((5, 8, 8, 1), dtype=np.float32)
    save_model(model, tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(loaded(images), model(images))
    assert loaded.get_layer("stem").kernel_constraint.hexagonal
    assert [p.name for p in tmp_path.iterdir()] == ["model.h5"]


@pytest.mark.parametrize("name", ["missing.h5", "garbage.h5", "garbage.keras"])
def test_bad_files_are_named(tmp_path: Path, name: str) -> None:
    if name.startswith("garbage"):
        (tmp_path / name).write_bytes(b"no model")
    with pytest.raises(InputError, match=name):
        load_model(tmp_path / name)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.h5"):
        save_model(None, tmp_path / "model.onnx")

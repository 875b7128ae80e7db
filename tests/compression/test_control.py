"""The control against the same trainings done by hand, and its epochs against those of compression."""

from pathlib import Path

import numpy as np

from trigger_ml.compression.compress import compress
from trigger_ml.compression.control import train_control
from trigger_ml.core.config import CompressionConfig, ModelConfig, PruningConfig, StageConfig
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.core.keras2 import tf_keras
from trigger_ml.models.batches import predict
from trigger_ml.models.registry import build_model
from trigger_ml.models.training import Plan, fit

CONFIG = CompressionConfig(
    epochs=2, batch_size=16, learning_rate=1e-3, distillation=0.25,
    pruning=PruningConfig(sparsity=0.5, epochs=1, learning_rate=4e-3),
)  # fmt: skip


def events(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    counts = rng.integers(0, 40, size=(n, 12, 12, 1)) + 60 * label[:, None, None, None]
    return counts.astype(np.uint8), label.astype(np.int8)


def test_the_control_is_the_float_model_after_the_epochs_of_compression(tmp_path: Path) -> None:
    x, y = events(64, 0)
    validation = events(32, 1)
    start = build_model(ModelConfig(stem_filters=4, stages=(StageConfig(filters=4),)), (12, 12, 1), "type", 1)
    before = start.get_weights()
    options = {"seed": 3, "directory": tmp_path / "control", "tensorboard": False}
    control = train_control(start, x, y, validation, CONFIG, bits=8, **options)
    for ours, theirs in zip(start.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)

    # by hand: the targets of distillation, one epoch as while pruning, two as while fine-tuning
    teacher = 1 / (1 + np.exp(-predict(start, x, 8)))
    target = (0.75 * y[:, None] + 0.25 * teacher).astype(np.float32)
    expected = tf_keras.models.clone_model(start)
    expected.set_weights(before)
    for epochs, rate in ((1, 4e-3), (2, 1e-3)):
        plan = Plan(epochs=epochs, batch_size=16, learning_rate=rate, bits=8, seed=3)
        fit(
            expected, x, target, validation, plan, directory=tmp_path / f"by-hand-{epochs}", tensorboard=False
        )
    for ours, theirs in zip(control.model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)

    # what compression itself trains with
    options["directory"] = tmp_path / "compressed"
    result = compress(start, x, y, validation, CONFIG, input_type=FixedPoint(False, 8, 8), **options)
    assert result.pruning_history is not None
    for name, theirs in (("1-prune", result.pruning_history), ("4-fine-tune", result.history)):
        ours = control.histories[name]
        assert ours.epochs_run == theirs.epochs_run
        np.testing.assert_allclose(ours.metrics["learning_rate"], theirs.metrics["learning_rate"], rtol=1e-6)
    assert not any("prune" in layer.name for layer in control.model.layers)


def test_trainings_follow_the_configuration() -> None:
    assert CONFIG.trainings == (("1-prune", 1, 4e-3, 0.25), ("4-fine-tune", 2, 1e-3, 0.25))
    for pruning, name in ((PruningConfig(sparsity=0.0), "3-fine-tune"), (PruningConfig(epochs=0), "3-prune")):
        config = CompressionConfig(epochs=5, learning_rate=2e-3, pruning=pruning)
        assert config.trainings == ((name, 5, 2e-3, 0.0),)
    steps = [{"step": "fold"}, {"step": "quantize"}, {"step": "distil", "epochs": 3, "share": 0.4}]
    assert CompressionConfig(steps=steps).trainings == (("3-distil", 3, 1e-3, 0.4),)

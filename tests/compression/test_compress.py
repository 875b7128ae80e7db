"""The whole compression on a tiny task."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from trigger_ml.compression import compress as module
from trigger_ml.compression import steps as work
from trigger_ml.compression.allocation import removed
from trigger_ml.compression.compress import compress
from trigger_ml.compression.pruning import integer_kernel
from trigger_ml.core.config import CompressionConfig, ModelConfig, PruningConfig, StageConfig, TrainConfig
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.models.batches import predict
from trigger_ml.models.files import load_model, save_model
from trigger_ml.models.registry import build_model
from trigger_ml.models.training import train

INPUT = FixedPoint(False, 8, 8)
MODEL = ModelConfig(stem_filters=4, stages=(StageConfig(filters=4),), kernel="hexagonal")


def events(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, and a bright line in those of class 1."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    counts = rng.integers(0, 40, size=(n, 12, 12, 1))
    gammas = np.flatnonzero(label)
    counts[gammas, rng.integers(3, 9, len(gammas))] += 100
    return counts.astype(np.uint8), label.astype(np.int8)


TRAINING, VALIDATION = events(256, 0), events(64, 1)


@pytest.fixture(scope="module")
def float_model(tmp_path_factory: pytest.TempPathFactory):
    model = build_model(MODEL, (12, 12, 1), "type", seed=1)
    config = TrainConfig(epochs=4, batch_size=8, learning_rate=1e-2, tensorboard=False)
    train(model, *TRAINING, VALIDATION, config, bits=8, seed=1, directory=tmp_path_factory.mktemp("float"))
    return model


def run(model, directory: Path, **pruning: object):
    config = CompressionConfig(epochs=2, batch_size=16, pruning=PruningConfig(**pruning))
    return compress(
        model, *TRAINING, VALIDATION, config,
        input_type=INPUT, seed=3, directory=directory, tensorboard=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sparsity", "epochs", "schedule", "allocation"),
    [
        # every schedule, allocation and order of trainings; a run of them takes ten seconds
        pytest.param(0.0, 1, "polynomial", "lamp", marks=pytest.mark.slow),
        (0.5, 1, "polynomial", "uniform"),
        (0.8, 0, "constant", "lamp"),
    ],
)
def test_the_sparsity_asked_is_reached(
    float_model, tmp_path: Path, sparsity: float, epochs: int, schedule: str, allocation: str
) -> None:
    before = [w.copy() for w in float_model.get_weights()]
    result = run(
        float_model, tmp_path, sparsity=sparsity, epochs=epochs, schedule=schedule, allocation=allocation
    )
    weights, pruned = sum(row.weights for row in result.layers), sum(row.pruned for row in result.layers)
    if allocation == "lamp":
        assert pruned == removed(weights, sparsity)
    for row in result.layers:
        assert row.pruned == removed(row.weights, row.asked)
        if allocation == "uniform":
            assert row.asked == sparsity
        # counted again, from the model alone
        _, integers = integer_kernel(result.model.get_layer(row.layer))
        assert (integers == 0).sum() == row.pruned + row.rounded
        assert -(2 ** (row.bits - 1)) <= integers.min() <= integers.max() < 2 ** (row.bits - 1)
        assert row.bits <= 6
    stem = result.model.get_layer("stem").kernel.numpy()
    assert not stem[0, 0].any()
    assert not stem[2, 2].any()
    assert (result.pruning_history is None) == (sparsity == 0 or epochs == 0)
    assert all(np.array_equal(a, b) for a, b in zip(before, float_model.get_weights(), strict=True))
    assert not any("prune" in layer.name for layer in result.model.layers)

    save_model(result.model, tmp_path / "model.h5")
    logit = predict(result.model, VALIDATION[0], 8)
    np.testing.assert_array_equal(predict(load_model(tmp_path / "model.h5"), VALIDATION[0], 8), logit)
    if sparsity <= 0.5:
        assert roc_auc_score(VALIDATION[1], logit[:, 0]) > 0.95


def test_a_killed_compression_goes_on_to_the_same_result(
    float_model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(float_model, tmp_path / "whole", sparsity=0.5, epochs=0)
    calls = []

    def killed(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        module_apply(*arguments)

    module_apply = work.apply_masks
    monkeypatch.setattr(work, "apply_masks", killed)
    with pytest.raises(KeyboardInterrupt):
        run(float_model, tmp_path / "killed", sparsity=0.5, epochs=0)
    monkeypatch.undo()
    result = run(float_model, tmp_path / "killed", sparsity=0.5, epochs=0)
    assert result.layers == expected.layers
    for ours, theirs in zip(result.model.get_weights(), expected.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_only_epochs_of_full_sparsity_are_kept(float_model, tmp_path: Path) -> None:
    result = run(float_model, tmp_path, sparsity=0.9, epochs=0, end=0.9)
    assert result.history.metrics["sparsity"][result.history.best_epoch] == pytest.approx(0.9, abs=0.02)
    assert result.history.best_epoch == 1


def test_distillation_mixes_labels_and_predictions(float_model) -> None:
    counts, label = TRAINING[0][:8], TRAINING[1][:8]
    gammaness = expit(predict(float_model, counts, 8))
    mixed = module.softened(float_model, counts, label, 0.25, 8, "type")
    np.testing.assert_allclose(mixed, 0.75 * label[:, None] + 0.25 * gammaness, atol=1e-6)
    hard = module.softened(float_model, counts, label, 0.0, 8, "type")
    assert hard[:, 0].tolist() == label.tolist()

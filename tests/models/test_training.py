import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from trigger_ml.core.config import ModelConfig, StageConfig, TrainConfig
from trigger_ml.core.errors import InputError, StageError
from trigger_ml.models.batches import predict
from trigger_ml.models.normalization import measure_averages
from trigger_ml.models.registry import build_model
from trigger_ml.models.training import Plan, fit, train

MODEL = ModelConfig(stem_filters=4, stages=(StageConfig(filters=4),))


def events(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, and a bright line in those of class 1."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    counts = rng.integers(0, 40, size=(n, 12, 12, 1))
    gammas = np.flatnonzero(label)
    counts[gammas, rng.integers(3, 9, len(gammas))] += 120
    return counts.astype(np.uint8), label.astype(np.int8)


def model(task: str = "type"):
    return build_model(MODEL, (12, 12, 1), task, seed=3)


def test_training_learns_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    x, y = events(192, 0)
    x_val, y_val = events(64, 1)
    trained = model()
    config = TrainConfig(epochs=6, batch_size=8, learning_rate=1e-2, patience=6)
    history = train(trained, x, y, (x_val, y_val), config, bits=8, seed=1, directory=tmp_path)
    logit = predict(trained, x_val, 8)
    assert roc_auc_score(y_val, logit[:, 0]) > 0.95
    losses = history.metrics["val_loss"]
    assert history.best_epoch == int(np.argmin(losses))
    assert history.epochs_run == len(losses) <= history.epochs_planned == 6
    # the cross entropy of the restored weights is that of the best epoch
    cross_entropy = np.mean(np.log1p(np.exp(-logit[:, 0] * (2 * y_val - 1))))
    assert cross_entropy == pytest.approx(min(losses), rel=1e-4)
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert json.loads(json.dumps(history.to_dict()))["best_epoch"] == history.best_epoch


def test_a_killed_training_goes_on_to_the_same_result(tmp_path: Path) -> None:
    x, y = events(96, 0)
    validation = events(32, 1)
    plan = Plan(epochs=3, batch_size=32, learning_rate=1e-2, bits=8, seed=5)
    whole = model()
    expected = fit(whole, x, y, validation, plan, directory=tmp_path / "whole", tensorboard=False)

    calls = []

    def killed() -> dict[str, float]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        fit(
            model(), x, y, validation, dataclasses.replace(plan, after_epoch=killed),
            directory=tmp_path / "killed", tensorboard=False,
        )  # fmt: skip
    resumed = model()
    history = fit(resumed, x, y, validation, plan, directory=tmp_path / "killed", tensorboard=False)
    assert history.metrics["loss"] == expected.metrics["loss"]
    assert history.metrics["val_loss"] == expected.metrics["val_loss"]
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("spoil", ["seed", "garbage"])
def test_a_checkpoint_that_does_not_fit_is_not_used(tmp_path: Path, spoil: str) -> None:
    x, y = events(32, 0)
    plan = Plan(epochs=1, batch_size=32, learning_rate=1e-3, bits=8, seed=5)
    fit(model(), x, y, (x, y), plan, directory=tmp_path, tensorboard=False)
    if spoil == "garbage":
        (tmp_path / "checkpoint.npz").write_bytes(b"PK\x03\x04 half a file")
    seen = []
    again = dataclasses.replace(
        plan, seed=6 if spoil == "seed" else 5, after_epoch=lambda: seen.append(1) or {}
    )
    fit(model(), x, y, (x, y), again, directory=tmp_path, tensorboard=False)
    assert seen == [1]


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    x, y = events(32, 0)
    plan = Plan(epochs=1, batch_size=32, learning_rate=1e-3, bits=8, seed=5)
    first = fit(model(), x, y, (x, y), plan, directory=tmp_path, tensorboard=False)
    assert fit(model(), x, y, (x, y), plan, directory=tmp_path, tensorboard=False) == first


def test_training_ends_on_its_plateau_and_says_so(tmp_path: Path) -> None:
    x, y = events(64, 0)
    # labels of the validation events are the wrong way round: every step makes it worse
    config = TrainConfig(epochs=20, batch_size=16, learning_rate=1e-2, patience=2, tensorboard=False)
    history = train(model(), x, y, (x, 1 - y), config, bits=8, seed=1, directory=tmp_path)
    ending = history.ending
    assert ending is not None
    assert (ending.by, ending.plateau) == ("plateau", True)
    assert ending.full_epochs < 15
    assert history.epochs_run == ending.full_epochs + 5 < 20
    rates = history.metrics["learning_rate"]
    assert rates[: ending.full_epochs] == pytest.approx([1e-2] * ending.full_epochs)
    # the rate after an epoch is that of its last step: nearly zero at the end
    assert np.all(np.diff(rates[ending.full_epochs - 1 :]) < 0)
    assert rates[-1] < 2e-4


def test_the_validation_loss_is_that_of_averages_measured_for_the_weights(tmp_path: Path) -> None:
    x, y = events(96, 0)
    x_val, y_val = events(64, 1)
    plan = Plan(epochs=2, batch_size=16, learning_rate=3e-2, bits=8, seed=5)
    trained = model()
    history = fit(trained, x, y, (x_val, y_val), plan, directory=tmp_path, tensorboard=False)
    assert history.ending is not None
    assert history.ending.by == "schedule"
    kept = trained.get_weights()
    measure_averages(trained, x, 8, seed=5)
    for ours, theirs in zip(trained.get_weights(), kept, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    logit = predict(trained, x_val, 8)[:, 0]
    cross_entropy = np.mean(np.log1p(np.exp(-logit * (2 * y_val - 1))))
    assert cross_entropy == pytest.approx(min(history.metrics["val_loss"]), rel=1e-4)


@pytest.mark.parametrize(("task", "outputs"), [("energy", 1), ("direction", 2)])
def test_regression(tmp_path: Path, task: str, outputs: int) -> None:
    x, _ = events(64, 0)
    target = np.repeat(x.mean(axis=(1, 2, 3))[:, None] / 64, outputs, axis=1)
    config = TrainConfig(epochs=2, batch_size=16, tensorboard=False, regression_loss="mse")
    trained = model(task)
    history = train(trained, x, target, (x, target), config, bits=8, seed=1, directory=tmp_path, task=task)
    mse = np.mean((predict(trained, x, 8) - target) ** 2)
    assert mse == pytest.approx(min(history.metrics["val_loss"]), rel=1e-4)


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    x, y = events(16, 0)
    config = TrainConfig(epochs=1)
    with pytest.raises(InputError, match="training events: there are no hadrons"):
        train(model(), x, np.ones(16), (x, y), config, bits=8, seed=1, directory=tmp_path)
    with pytest.raises(InputError, match="validation events: there are no gammas"):
        train(model(), x, y, (x, np.zeros(16)), config, bits=8, seed=1, directory=tmp_path)
    with pytest.raises(InputError, match="validation events: there are none"):
        train(model(), x, y, (x[:0], y[:0]), config, bits=8, seed=1, directory=tmp_path)
    with pytest.raises(InputError, match="targets of shape"):
        train(model(), x, y[:7], (x, y), config, bits=8, seed=1, directory=tmp_path)


def test_a_diverging_loss_is_an_error_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    x, y = events(32, 0)
    spoiled = model()
    spoiled.get_layer("head").bias.assign([np.nan])
    with pytest.raises(StageError, match="the loss became nan"):
        train(spoiled, x, y, (x, y), TrainConfig(epochs=1), bits=8, seed=1, directory=tmp_path)
    assert not (tmp_path / "checkpoint.npz").exists()


def test_predict_does_not_depend_on_the_batch() -> None:
    x, _ = events(10, 0)
    untrained = model("direction")
    expected = untrained(x.astype(np.float32) / 256).numpy()
    np.testing.assert_allclose(predict(untrained, x, 8, batch=3), expected, atol=1e-6)
    assert predict(untrained, x[:0], 8).shape == (0, 2)


def test_augmentation_shows_events_through_the_symmetries_given(tmp_path: Path) -> None:
    """Bright on the left is class 1; mirrored with chance one half, the classes cannot be told apart."""
    rng = np.random.default_rng(0)
    label = (np.arange(192) % 2).astype(np.int8)
    counts = rng.integers(0, 40, size=(192, 12, 12, 1))
    counts[label == 1, :, :6] += 120
    counts[label == 0, :, 6:] += 120
    counts = counts.astype(np.uint8)
    cells = np.arange(144).reshape(12, 12)
    mirror = np.stack([cells.ravel(), cells[:, ::-1].ravel()])
    config = TrainConfig(epochs=4, batch_size=16, learning_rate=1e-2, patience=4, tensorboard=False)
    losses = []
    for name, symmetries in (("plain", None), ("mirrored", mirror)):
        history = train(
            build_model(ModelConfig(stem_filters=4, pooling="flatten", stages=()), (12, 12, 1), "type", 3),
            counts, label, (counts, label), config, bits=8, seed=1, directory=tmp_path / name,
            symmetries=symmetries,
        )  # fmt: skip
        losses.append(history.metrics["loss"][-1])
    assert losses[0] < 0.3
    assert losses[1] > 0.55

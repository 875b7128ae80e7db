"""The trees against scikit-learn called by hand, and what their file gives back."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score

from trigger_ml.core.errors import InputError
from trigger_ml.models.trees import SETTINGS, fit_trees, load_trees, save_trees

ROWS = np.random.default_rng(0).permutation(900)
TRAIN, VALIDATION, TEST = np.sort(ROWS[:500]), np.sort(ROWS[500:700]), np.sort(ROWS[700:])


def parameters() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Two parameters that tell the classes apart only together, one without meaning, some undefined."""
    rng = np.random.default_rng(1)
    first, second, third = rng.normal(size=(3, 900)).astype(np.float32)
    label = (first * second + 0.3 * rng.normal(size=900) > 0).astype(np.int8)
    first[::11] = np.nan
    return {"width": first, "length": second, "chance": third}, label


def test_trees_learn_what_no_single_cut_does_and_stop_by_the_validation_events(tmp_path: Path) -> None:
    columns, label = parameters()
    trees = fit_trees(columns, label, TRAIN, VALIDATION, seed=3)
    logits = trees.logits({name: column[TEST] for name, column in columns.items()})
    assert logits.shape == (200, 1)
    assert roc_auc_score(label[TEST], logits[:, 0]) > 0.85
    # by hand: as many trees as the validation loss, followed tree by tree, asks for
    table = np.stack([columns[name] for name in trees.names], axis=1)
    options = {**SETTINGS, "early_stopping": False}
    full = HistGradientBoostingClassifier(random_state=3, **options).fit(table[TRAIN], label[TRAIN])
    losses = [log_loss(label[VALIDATION], p[:, 1]) for p in full.staged_predict_proba(table[VALIDATION])]
    prior = log_loss(label[VALIDATION], np.full(200, label[TRAIN].mean()))
    losses, wait = [prior, *losses], SETTINGS["n_iter_no_change"]
    stalled = [
        n for n in range(wait, len(losses)) if min(losses[n - wait + 1 : n + 1]) > losses[n - wait] - 1e-7
    ]
    assert trees.iterations == stalled[0] < SETTINGS["max_iter"]

    save_trees(tmp_path / "trees.npz", columns, label, TRAIN, VALIDATION, seed=3)
    again, stored = load_trees(tmp_path / "trees.npz")
    for name, column in columns.items():
        np.testing.assert_array_equal(stored[name], column)
    np.testing.assert_array_equal(again.logits({n: c[TEST] for n, c in stored.items()}), logits)


def test_a_class_without_events_and_a_broken_file_are_named(tmp_path: Path) -> None:
    columns, label = parameters()
    with pytest.raises(InputError, match="validation events: are of one class only"):
        fit_trees(columns, label, TRAIN, VALIDATION[label[VALIDATION] == 1], seed=3)
    (tmp_path / "trees.npz").write_bytes(b"PK half")
    with pytest.raises(InputError, match="Run the stage `trees` again"):
        load_trees(tmp_path / "trees.npz")

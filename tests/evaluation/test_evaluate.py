import json

import numpy as np
import pytest
from pairs import evaluate_pair
from sklearn.metrics import roc_auc_score

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.documents.base import plain
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation.events import EvaluationEvents, energy_bins, usable

CONFIG = EvaluationConfig(bootstrap=40)


def toy(n=1500, seed=5, **columns):
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    shower = np.arange(n) // 4
    energy = 10 ** rng.uniform(-0.5, 1.5, n // 4 + 1)[shower]
    logit = 2.0 * (label - 0.5) * (1 + np.log10(energy)) + rng.normal(0, 1.2, n)
    compressed = np.round(logit + rng.normal(0, 0.2, n), 1)
    return logit, compressed, EvaluationEvents(label, energy, shower, **columns)


def test_result_is_json_without_nan_and_holds_scikit_learns_auc():
    logit, compressed, events = toy()
    found = evaluate_pair(logit, compressed, events, CONFIG, seed=1)
    json.dumps(plain(found), allow_nan=False)
    assert found.pair().metrics["auc"].reference.value == pytest.approx(roc_auc_score(events.label, logit))
    bins = energy_bins(events.energy, 5)
    inside = bins.index == 3
    assert found.pair().bins["auc"][3].model.value == pytest.approx(
        roc_auc_score(events.label[inside], compressed[inside])
    )
    assert sum(row.reference.events for row in found.pair().bins["auc"]) == len(events)
    assert len(found.energy_bins.edges) == len(found.pair().bins["auc"]) + 1
    for name in ("accuracy", "precision", "recall", "f1", "brier", "hadron_efficiency", "gamma_efficiency"):
        row = found.pair().metrics[name].reference
        assert row.low <= row.high
    assert set(found.details.operating_points) == {"efficiency", "efficiency_per_bin", "f1", "fixed"}


def test_equal_models_cost_nothing():
    logit, _, events = toy()
    found = evaluate_pair(logit, logit, events, CONFIG, seed=1)
    for comparison in found.pair().metrics.values():
        assert comparison.verdict == "identical"
        assert comparison.difference.value == 0
    flips = found.details.operating_points["efficiency"].comparisons["compressed"].flips
    assert flips["all"].lost == flips["all"].gained == 0


def test_gamma_efficiency_of_the_float_model_is_read_at_its_own_background():
    logit, compressed, events = toy(4000)
    found = evaluate_pair(logit, compressed, events, CONFIG, seed=1)
    assert found.pair().metrics["gamma_efficiency"].reference.value == pytest.approx(0.7, abs=0.01)


def test_logits_may_have_a_trailing_axis():
    logit, compressed, events = toy()
    assert evaluate_pair(logit[:, None], compressed[:, None], events, CONFIG, seed=1) == evaluate_pair(
        logit, compressed, events, CONFIG, seed=1
    )


def test_scaling_all_weights_changes_nothing():
    logit, compressed, events = toy()
    once = evaluate_pair(logit, compressed, events, CONFIG, seed=1)
    scaled = toy(weight=np.full(1500, 7.5))[2]
    weighted = evaluate_pair(logit, compressed, scaled, CONFIG, seed=1)
    for name, row in once.pair().metrics.items():
        assert weighted.pair().metrics[name].difference.low == pytest.approx(row.difference.low, abs=1e-9)


def test_events_without_a_prediction_leave_both_models_and_are_counted():
    logit, compressed, events = toy()
    broken = logit.copy()
    broken[:7] = np.nan
    broken[8] = -np.inf
    found = evaluate_pair(broken, compressed, events, CONFIG, seed=1)
    assert found.events.dropped == {"no finite prediction": 8}
    assert found.events.used == 1492
    assert "8 events left out: no finite prediction" in found.flags
    expected = roc_auc_score(np.delete(events.label, [*range(7), 8]), np.delete(compressed, [*range(7), 8]))
    assert found.pair().metrics["auc"].model.value == pytest.approx(expected)


def test_all_nan_predictions_are_an_error():
    logit, _, events = toy()
    with pytest.raises(InputError, match="no event can be evaluated"):
        evaluate_pair(logit, np.full(len(logit), np.nan), events, CONFIG, seed=1)


def test_repeated_events_count_once():
    ids = {"obs_id": np.ones(1500, int), "event_id": np.arange(1500), "tel_id": np.ones(1500, int)}
    ids["event_id"][1400:] = ids["event_id"][:100]
    logit, compressed, events = toy(**ids)
    found = evaluate_pair(logit, compressed, events, CONFIG, seed=1)
    assert found.events.dropped == {"repeated event": 100}
    first = evaluate_pair(logit[:1400], compressed[:1400], events[:1400], CONFIG, seed=1)
    assert found.pair().metrics["auc"].reference.value == first.pair().metrics["auc"].reference.value


@pytest.mark.parametrize(("kept", "name"), [(0, "gammas"), (1, "hadrons")])
def test_a_missing_class_is_an_error_that_names_it(kept, name):
    logit, compressed, events = toy()
    rows = events.label == kept
    with pytest.raises(InputError, match=f"no {name}"):
        evaluate_pair(logit[rows], compressed[rows], events[rows], CONFIG, seed=1)


def test_small_bins_are_flagged_and_kept():
    logit, compressed, events = toy()
    energy = events.energy.copy()
    energy[:3] = 500.0
    lonely = EvaluationEvents(events.label, energy, events.shower_id)
    found = evaluate_pair(logit, compressed, lonely, CONFIG, seed=1)
    last, empty = found.pair().bins["auc"][-1], found.pair().bins["auc"][-3]
    assert last.reference.flag.endswith("1 gamma shower, 1 hadron shower")
    assert "no gamma showers, no hadron showers" in empty.reference.flag
    assert empty.reference.value is None
    assert any("energy bins are flagged" in flag for flag in found.flags)


def test_one_energy_gives_one_bin():
    logit, compressed, events = toy()
    flat = EvaluationEvents(events.label, np.full(1500, 1.0), events.shower_id)
    found = evaluate_pair(logit, compressed, flat, CONFIG, seed=1)
    assert found.energy_bins.edges == (1.0, pytest.approx(10**0.2))
    assert found.pair().bins["auc"][0].reference.value == found.pair().metrics["auc"].reference.value


def test_energies_on_the_edges_stay_inside():
    bins = energy_bins([0.1, 1.0, 9.999, 10.0], 5)
    assert len(bins) == 10
    assert bins.index.tolist() == [0, 5, 9, 9]
    assert bins.centers[0] == pytest.approx(10**-0.9)


def test_bad_columns_are_refused():
    logit, compressed, events = toy()
    with pytest.raises(InputError, match="10 rows for 1500 events"):
        usable(events, logit, compressed[:10])
    with pytest.raises(InputError, match="other than 0 and 1"):
        usable(EvaluationEvents(events.label + 1, events.energy, events.shower_id), logit)
    with pytest.raises(InputError, match="negative"):
        usable(toy(weight=np.full(1500, -1.0))[2], logit)
    with pytest.raises(ValueError, match="column energy"):
        EvaluationEvents(events.label, events.energy[:5], events.shower_id)
    missing = EvaluationEvents(events.label, np.where(np.arange(1500) < 2, np.nan, 1.0), events.shower_id)
    assert usable(missing, logit)[1] == {"no true energy": 2}

import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics
from sklearn.calibration import calibration_curve

from trigger_ml.core.documents.details import CalibrationBin
from trigger_ml.core.documents.estimates import Estimate
from trigger_ml.evaluation import classification
from trigger_ml.evaluation.uncertainty import resample_showers


@pytest.fixture
def data():
    rng = np.random.default_rng(8)
    n = 500
    gamma = rng.random(n) < 0.45
    return {
        "gamma": gamma,
        "score": rng.normal(gamma * 1.5 - 0.7, 1.2),
        "weight": rng.uniform(0.5, 2, n),
        "zero": np.zeros(n, dtype=np.int64),
        "shower": np.arange(n),
    }


def test_decision_metrics_are_scikit_learns(data):
    r = resample_showers(data["shower"], data["gamma"], 20, 1, data["weight"])
    passes = data["score"] >= 0
    found = classification.decision_metrics(r, data["gamma"], passes, data["zero"], 1)
    for name, function in (
        ("accuracy", metrics.accuracy_score),
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):
        for column in (0, 7):
            weight = data["weight"] * r.counts[r.shower, column]
            expected = function(data["gamma"], passes, sample_weight=weight)
            assert found[name][0, column] == pytest.approx(expected, rel=1e-12)
    fp = (passes & ~data["gamma"]) @ data["weight"] / data["weight"][~data["gamma"]].sum()
    assert found["false_positive_rate"][0, 0] == pytest.approx(fp)


def test_brier_is_scikit_learns(data):
    r = resample_showers(data["shower"], data["gamma"], 20, 1, data["weight"])
    found = classification.brier(r, data["gamma"], data["score"], data["zero"], 1)
    expected = metrics.brier_score_loss(
        data["gamma"], expit(data["score"]), sample_weight=data["weight"], scale_by_half=True
    )
    assert found[0, 0] == pytest.approx(expected, rel=1e-12)


def test_confusion_is_scikit_learns(data):
    passes = data["score"] >= 0.3
    found = classification.confusion(data["gamma"], passes, data["weight"])
    expected = metrics.confusion_matrix(data["gamma"], passes, labels=[True, False])
    assert found.events == tuple(map(tuple, expected.tolist()))
    weighted = metrics.confusion_matrix(
        data["gamma"], passes, labels=[True, False], sample_weight=data["weight"], normalize="true"
    )
    np.testing.assert_allclose(found.rates, weighted)
    assert classification.confusion(np.ones(2, bool), np.ones(2, bool), [1, 1]).rates[1] == (None, None)


def test_calibration_is_scikit_learns(data):
    r = resample_showers(data["shower"], data["gamma"], 20, 1)
    rows = classification.calibration(r, data["gamma"], data["score"], 0.68, 10)
    fraction, mean = calibration_curve(data["gamma"], expit(data["score"]), n_bins=10)
    filled = [row for row in rows if row.events]
    np.testing.assert_allclose([row.fraction.value for row in filled], fraction)
    np.testing.assert_allclose([row.mean for row in filled], mean)
    assert sum(row.events for row in rows) == 500


def test_calibration_flags_bins_with_few_events():
    r = resample_showers(np.arange(30), np.arange(30) % 2, 20, 1)
    score = np.r_[np.full(28, -3.0), 3.0, 3.0]
    rows = classification.calibration(r, np.arange(30) % 2 == 1, score, 0.68, 10)
    assert rows[9].fraction.flag.endswith("2 showers")
    assert rows[5] == CalibrationBin(0.5, 0.6, None, 0, Estimate(None, None, None, "no showers", 0))


def test_roc_points_keep_the_area_and_the_ends(data):
    found = classification.roc_points(data["score"], data["gamma"], data["weight"], points=100)
    assert len(found.logit) <= 110
    assert found.logit[0] is None
    x, y = found.false_positive_rate, found.true_positive_rate
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    area = metrics.roc_auc_score(data["gamma"], data["score"], sample_weight=data["weight"])
    assert np.trapezoid(y, x) == pytest.approx(area, abs=0.004)


def test_efficiency_threshold_is_the_largest_that_keeps_enough():
    score = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0])
    assert classification.efficiency_threshold(score, np.ones(10), 0.7) == 4.0
    assert classification.efficiency_threshold(score, np.ones(10), 0.71) == 3.0
    assert classification.efficiency_threshold(score, score, 0.49) == 8.0
    assert np.isnan(classification.efficiency_threshold([], [], 0.5))


def test_f1_threshold_is_the_best_of_all(data):
    found = classification.f1_threshold(data["score"], data["gamma"], data["weight"])
    scores = [
        metrics.f1_score(data["gamma"], data["score"] >= t, sample_weight=data["weight"])
        for t in data["score"]
    ]
    assert data["score"][int(np.argmax(scores))] == found


def test_thresholds_per_bin_keep_the_efficiency_in_each_bin(data):
    bins = np.arange(500) % 4
    bins[bins == 3] = 2
    rules = {
        rule.name: rule
        for rule in classification.thresholds(
            data["score"], data["gamma"], np.ones(500), bins, 4, efficiency=0.7, fixed=0.5
        )
    }
    assert rules["fixed"].logit == (0.0,)
    assert np.isnan(rules["efficiency_per_bin"].logit[3])
    assert rules["efficiency_per_bin"].of_model(0.1).gammaness[3] is None
    passes = rules["efficiency_per_bin"].passes(data["score"], bins)
    for b in range(3):
        inside = data["gamma"] & (bins == b)
        assert 0.7 <= passes[inside].mean() < 0.7 + 1 / inside.sum()
    assert not rules["efficiency_per_bin"].passes([99.0], np.array([3]))[0]
    kept = rules["efficiency"].passes(data["score"], bins)[data["gamma"]].mean()
    assert 0.7 <= kept < 0.7 + 1 / data["gamma"].sum()


def test_histogram_densities_have_unit_area(data):
    found = classification.gammaness_histogram(data["score"], data["gamma"], data["weight"])
    width = np.diff(found.edges)
    for name, mask in (("gamma", data["gamma"]), ("hadron", ~data["gamma"])):
        assert width @ getattr(found, name).density == pytest.approx(1)
        assert sum(getattr(found, name).events) == mask.sum()

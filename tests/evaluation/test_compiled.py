import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from trigger_ml.evaluation.uncertainty import Resamples, resample_showers


def sample(seed, n=400, coarse=True):
    rng = np.random.default_rng(seed)
    gamma = rng.random(n) < 0.4
    score = rng.normal(gamma * 1.0, 1.0)
    if coarse:
        # the score of a quantized network has many equal values
        score = np.round(score, 1)
    return {
        "gamma": gamma,
        "score": score,
        "weight": rng.uniform(0.1, 3.0, n),
        "bins": rng.integers(0, 3, n),
        "shower": rng.integers(0, n // 4, n),
        "rng": rng,
    }


def resamples(s, draws=5):
    counts = s["rng"].integers(0, 4, (s["shower"].max() + 1, 1 + draws)).astype(np.uint8)
    counts[:, 0] = 1
    return Resamples(counts, s["shower"].astype(np.int64), s["weight"])


@pytest.mark.parametrize("coarse", [True, False])
def test_auc_of_each_bin_and_resample_is_scikit_learns(coarse):
    s = sample(1, coarse=coarse)
    r = resamples(s)
    auc, _, _ = r.roc(s["score"], s["gamma"], s["bins"], 3, 0.7)
    for b in range(3):
        inside = s["bins"] == b
        for column in range(r.size):
            weight = s["weight"] * r.counts[s["shower"], column]
            expected = roc_auc_score(s["gamma"][inside], s["score"][inside], sample_weight=weight[inside])
            assert auc[b, column] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("coarse", [True, False])
def test_efficiencies_lie_on_scikit_learns_roc_curve(coarse):
    s = sample(2, coarse=coarse)
    r = resamples(s)
    wanted = np.full((3, r.size), 0.1234)
    _, hadron, gamma = r.roc(s["score"], s["gamma"], s["bins"], 3, 0.7071, wanted)
    for b in range(3):
        inside = s["bins"] == b
        for column in range(r.size):
            weight = (s["weight"] * r.counts[s["shower"], column])[inside]
            fpr, tpr, _ = roc_curve(
                s["gamma"][inside], s["score"][inside], sample_weight=weight, drop_intermediate=False
            )
            assert hadron[b, column] == pytest.approx(np.interp(0.7071, tpr, fpr), abs=1e-10)
            assert gamma[b, column] == pytest.approx(np.interp(0.1234, fpr, tpr), abs=1e-10)


def test_background_of_zero_keeps_the_gammas_above_the_best_hadron():
    score = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    gamma = np.array([True, True, False, True, False])
    r = Resamples(np.ones((5, 1), dtype=np.uint8), np.arange(5), np.ones(5))
    _, _, kept = r.roc(score, gamma, np.zeros(5, dtype=np.int64), 1, 0.5, np.zeros((1, 1)))
    assert kept[0, 0] == pytest.approx(2 / 3)


def test_bins_without_a_class_are_nan():
    r = Resamples(np.ones((3, 2), dtype=np.uint8), np.arange(3), np.ones(3))
    gamma, bins = np.array([True, False, True]), np.array([0, 0, 2])
    auc, hadron, kept = r.roc(np.arange(3.0), gamma, bins, 3, 0.7)
    assert np.isfinite(auc[0]).all()
    assert np.isnan(auc[1:]).all()
    assert np.isnan(hadron[1:]).all()
    assert np.isnan(kept).all()


@given(seed=st.integers(0, 10_000), level=st.floats(0.01, 0.99))
@settings(max_examples=40)
def test_quantiles_are_numpys_inverse_cdf(seed, level):
    s = sample(seed, n=60)
    r = resamples(s, draws=3)
    found = r.quantiles(s["score"], (level,), s["bins"], 4)
    assert np.isnan(found[0, 3]).all()
    for b in range(3):
        inside = s["bins"] == b
        for column in range(r.size):
            weight = (s["weight"] * r.counts[s["shower"], column])[inside]
            if not weight.sum():
                assert np.isnan(found[0, b, column])
                continue
            expected = np.quantile(s["score"][inside], level, weights=weight, method="inverted_cdf")
            assert found[0, b, column] == expected


def test_sums_are_those_of_repeated_events():
    s = sample(3)
    r = resamples(s)
    columns = s["rng"].normal(size=(400, 2))
    found = r.sums(columns, s["bins"], 3)
    for column in range(r.size):
        weight = s["weight"] * r.counts[s["shower"], column]
        for k in range(2):
            expected = np.bincount(s["bins"], weights=weight * columns[:, k], minlength=3)
            np.testing.assert_allclose(found[k, :, column], expected, rtol=1e-10)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_order_of_events_does_not_matter(seed):
    s = sample(seed, n=120)
    order = s["rng"].permutation(120)
    first = resample_showers(s["shower"], s["gamma"], 5, 1, s["weight"])
    second = resample_showers(s["shower"][order], s["gamma"][order], 5, 1, s["weight"][order])
    for a, b in zip(
        first.roc(s["score"], s["gamma"], s["bins"], 3, 0.7),
        second.roc(s["score"][order], s["gamma"][order], s["bins"][order], 3, 0.7),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-9)

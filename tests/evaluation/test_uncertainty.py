import numpy as np
import pytest
from scipy.stats import norm

from trigger_ml.evaluation.uncertainty import Interval, intervals, resample_showers


def test_whole_showers_are_drawn_within_their_class():
    shower = np.repeat(np.arange(100), 3)
    label = (shower % 4 == 0).astype(int)
    r = resample_showers(shower, label, 50, seed=3)
    assert (r.counts[:, 0] == 1).all()
    per_event = r.counts[r.shower]
    assert (per_event.reshape(100, 3, 51) == per_event.reshape(100, 3, 51)[:, :1]).all()
    for kind, total in ((1, 25), (0, 75)):
        showers = np.unique(r.shower[label == kind])
        assert (r.counts[showers].sum(axis=0) == total).all()


def test_equal_shower_numbers_in_both_classes_are_different_showers():
    r = resample_showers([7, 7], [0, 1], 20, seed=1)
    assert r.counts.shape == (2, 21)


def test_the_seed_decides_the_draws():
    first, again, other = (resample_showers(np.arange(50), np.ones(50), 30, seed) for seed in (1, 1, 2))
    assert (first.counts == again.counts).all()
    assert (first.counts != other.counts).any()


def test_interval_is_the_percentiles_of_the_draws():
    draws = np.arange(101.0)
    (found,) = intervals(np.r_[50.0, draws][None], 0.68)
    assert (found.value, found.low, found.high) == pytest.approx((50.0, 16.0, 84.0))
    assert found.half_width == pytest.approx(34.0)


def test_undefined_values_are_flagged_and_become_none():
    rows = np.full((3, 101), 2.0)
    rows[1, 0] = np.nan
    rows[2, 1:40] = np.nan
    good, missing, rare = intervals(rows, 0.68)
    assert good.flag == ""
    assert missing.to_dict() == {"value": None, "low": None, "high": None, "flag": "undefined"}
    assert rare.to_dict()["low"] is None
    assert "39%" in rare.flag


def test_flags_accumulate():
    assert Interval(1, 0, 2, "a").flagged("b").flag == "a; b"
    assert Interval(1, 0, 2).flagged("").flag == ""


def toy_auc(rng, showers=120, uses=5, shift=1.0, common=0.8):
    """AUC with its interval in an experiment whose uses of one shower share a fluctuation."""
    label = np.repeat(np.arange(showers) % 2, uses)
    shower = np.repeat(np.arange(showers), uses)
    score = shift * label + common * rng.normal(size=showers)[shower] + rng.normal(size=len(label))
    return label, shower, score, float(norm.cdf(shift / np.sqrt(2 * (1 + common**2))))


def coverage(by_shower, toys=300):
    rng = np.random.default_rng(12)
    hits = 0
    for toy in range(toys):
        label, shower, score, truth = toy_auc(rng)
        unit = shower if by_shower else np.arange(len(label))
        r = resample_showers(unit, label, 100, seed=toy)
        auc, _, _ = r.roc(score, label == 1, np.zeros(len(label), dtype=np.int64), 1, 0.7)
        (found,) = intervals(auc, 0.68)
        hits += found.low <= truth <= found.high
    return hits / toys


def test_68_percent_intervals_cover_68_percent():
    assert 0.60 <= coverage(by_shower=True) <= 0.76


def test_drawing_single_uses_would_cover_too_little():
    assert coverage(by_shower=False) < 0.55


def test_shared_fluctuations_drop_out_of_the_difference():
    rng = np.random.default_rng(4)
    label, shower, score, _ = toy_auc(rng, showers=400)
    other = score + 0.1 * rng.normal(size=len(score))
    r = resample_showers(shower, label, 200, seed=1)
    bins = np.zeros(len(label), dtype=np.int64)
    first, second = (r.roc(x, label == 1, bins, 1, 0.7)[0] for x in (score, other))
    alone, difference = intervals(first, 0.68)[0], intervals(second - first, 0.68)[0]
    assert difference.half_width < 0.3 * alone.half_width


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0]])
def test_weights_default_to_one(weight):
    r = resample_showers([1, 2, 3], [0, 1, 1], 20, 1, weight)
    assert r.weight.tolist() == ([1, 1, 1] if weight is None else weight)

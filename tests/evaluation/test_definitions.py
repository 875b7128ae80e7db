"""What must hold for any sample: showers decide flags, no area is above the one thrown, intervals enclose."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import evaluate_pair

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.evaluation.bookkeeping import Simulated
from trigger_ml.evaluation.events import EvaluationEvents
from trigger_ml.evaluation.uncertainty import few_showers, intervals, resample_showers

CONFIG = EvaluationConfig(bootstrap=20, bins_per_decade=3)


def sample(seed, showers, uses):
    """Triggered events of both classes, several of one shower, with light."""
    rng = np.random.default_rng(seed)
    shower = np.repeat(np.arange(2 * showers), uses)
    label = shower % 2
    energy = 10 ** rng.uniform(0, 1.5, 2 * showers)[shower]
    n = len(label)
    size = 100 * energy * np.exp(rng.normal(0, 0.3, n))
    alt0 = np.full(n, 1.2)
    events = EvaluationEvents(
        label,
        energy,
        shower,
        alt=alt0 + 0.01,
        az=np.zeros(n),
        pointing_alt=alt0,
        pointing_az=np.zeros(n),
        size=size,
        light_energy=size / 100,
    )
    return events, rng.normal(label, 1.0)


def simulated(n):
    return {
        "gamma": Simulated("gamma", n, 1.0, 10**1.5, -2.0, 500.0),
        "proton": Simulated("proton", n, 1.0, 10**1.5, -2.0, 500.0, view_cone=6.0),
    }


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(3, 30), st.integers(1, 36), st.integers(20, 2000))
def test_no_area_is_above_the_one_thrown(seed, showers, uses, n):
    events, score = sample(seed, showers, uses)
    found = evaluate_pair(score, score, events, CONFIG, 1, simulations=simulated(n)).irf
    area = np.pi * 500.0**2
    kept = []
    for row, limit in zip(
        found.comparisons["compressed"].bins["effective_area"],
        found.comparisons["compressed"].bins["sensitivity"],
        strict=True,
    ):
        value = row.reference
        if value.value is not None:
            assert value.value <= area * (1 + 1e-9)
            if value.value > area * (1 - 1e-9):
                assert "area thrown" in value.flag or value.value == pytest.approx(area)
        if limit.reference.value is not None and not limit.reference.flag:
            kept.append(limit.reference.value)
    # flagged bins stay out of the mean
    mean = found.comparisons["compressed"].metrics["mean_sensitivity"].reference.value
    if kept:
        assert mean == pytest.approx(np.exp(np.mean(np.log(kept))))
    else:
        assert mean is None


def test_more_triggers_than_showers_are_capped_and_flagged():
    events, score = sample(1, 20, 36)
    found = evaluate_pair(score, score, events, CONFIG, 1, simulations=simulated(200)).irf
    rows = [row.reference for row in found.comparisons["compressed"].bins["effective_area"]]
    above = [row for row in rows if "capped at the area thrown" in row.flag]
    assert above
    assert all(row.value == pytest.approx(np.pi * 500.0**2) for row in above)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(4, 30), st.integers(2, 12))
def test_uses_of_a_shower_add_weight_and_no_statistics(seed, showers, uses):
    """Every shower used again, and thrown as often: the same figures and flags."""
    events, score = sample(seed, showers, 1)
    rows = np.repeat(np.arange(len(events)), uses)
    config = CONFIG.model_copy(update={"min_events": 1, "min_showers": 4})
    once = evaluate_pair(score, score, events, config, 1, simulations=simulated(900))
    often = evaluate_pair(
        score[rows], score[rows], events[rows], config, 1, simulations=simulated(900 * uses)
    )
    assert often.events.showers == once.events.showers
    for name in ("auc", "hadron_efficiency"):
        for first, second in zip(once.pair().bins[name], often.pair().bins[name], strict=True):
            assert first.reference.flag == second.reference.flag
            if name == "auc" and first.reference.value is not None:
                assert second.reference.value == pytest.approx(first.reference.value)


@pytest.mark.parametrize("uses", [2, 7])
def test_rates_do_not_depend_on_how_often_a_shower_is_used(uses):
    """Thrown as often as used; a quantile of repeated events may fall on the next event of a bin."""
    events, score = sample(5, 600, 1)
    rows = np.repeat(np.arange(len(events)), uses)
    once = evaluate_pair(score, score, events, CONFIG, 1, simulations=simulated(900))
    often = evaluate_pair(
        score[rows], score[rows], events[rows], CONFIG, 1, simulations=simulated(900 * uses)
    )
    for name in ("background_rate", "signal_rate"):
        first, second = (f.response().metrics[name].reference.value for f in (once, often))
        assert first > 0
        assert second == pytest.approx(first, rel=0.1)


@settings(max_examples=60)
@given(st.lists(st.floats(-1e3, 1e3), min_size=20, max_size=60), st.floats(-1e3, 1e3), st.floats(0.05, 0.99))
def test_an_interval_encloses_its_estimate(draws, value, confidence):
    (found,) = intervals(np.array([[value, *draws]]), confidence)
    assert found.low <= found.value <= found.high


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(3, 25), st.integers(1, 5))
def test_every_efficiency_is_inside_its_own_interval(seed, showers, uses):
    events, score = sample(seed, showers, uses)
    coarse = np.round(score, 0)
    found = evaluate_pair(score, coarse, events, CONFIG, 1)
    for name in ("hadron_efficiency", "gamma_efficiency", "recall", "precision", "auc"):
        for row in (*found.pair().bins[name], found.pair().metrics[name]):
            for part in (row.reference, row.model, row.difference, row.ratio):
                if part.value is not None and part.low is not None:
                    assert part.low <= part.value <= part.high


def test_showers_are_counted_once_in_each_bin():
    shower = np.array([7, 7, 7, 8, 8, 9])
    bins = np.array([0, 0, 1, 1, 1, 5])
    draws = resample_showers(shower, np.zeros(6), 20, 1)
    assert draws.showers(bins, 3).tolist() == [1, 2, 0]
    assert few_showers(np.array([1, 2, 0, 3]), 3, "gamma") == [
        "1 gamma shower",
        "2 gamma showers",
        "no gamma showers",
        "",
    ]


def test_many_uses_of_few_showers_are_flagged():
    events, score = sample(3, 4, 36)
    found = evaluate_pair(score, score, replace(events), CONFIG, 1, simulations=simulated(5000))
    rows = [row.reference for row in found.pair().bins["auc"] if row.reference.events]
    assert rows
    assert all("shower" in row.flag for row in rows)
    assert found.response().metrics["mean_sensitivity"].state == "undefined"

"""Models against the conditions of the camera: known distributions, counts by hand, and invariances."""

import json

import numpy as np
import pytest
from astropy.stats import binom_conf_interval
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.documents.base import plain
from trigger_ml.core.documents.robustness import Robustness
from trigger_ml.evaluation.conditions import condition_bins, varied
from trigger_ml.evaluation.events import EvaluationEvents
from trigger_ml.evaluation.robustness import NightSkyAnswers, accepted, change_verdict, robustness
from trigger_ml.evaluation.uncertainty import resample_showers

# wide intervals: what must be inside them is so in nearly every sample
CONFIG = EvaluationConfig(bootstrap=100, confidence=0.997)
SKY = np.array([0.03, 0.05, 0.09, 0.15, 0.25])
SHIFT = np.array([2.0, 1.75, 1.5, 1.25, 1.0])


def sample(n: int = 10_000, uses: int = 1, seed: int = 1):
    """Events of both classes with a night sky of five values, and one of the classes' logits."""
    rng = np.random.default_rng(seed)
    label, shower = np.arange(n) % 2, np.arange(n) // 2 // uses
    level = rng.integers(len(SKY), size=n // 2 // uses + 1)[shower]
    noise = rng.normal(0, 1, n)
    events = EvaluationEvents(label, np.ones(n), shower)
    return events, level, noise


@pytest.fixture(scope="module")
def gaussian():
    """Gammas that come nearer to hadrons with the sky: distances of the float and the compressed model."""
    events, level, noise = sample()
    spread = np.random.default_rng(2).normal(0, 0.2, len(events))
    first = SHIFT[level] * events.label + noise
    logits = {
        "float": first,
        "compressed": first + 0.4 * (SHIFT[level] - SHIFT[0]) * events.label + spread,
        "control": 3 * first - 1,
    }
    conditions = {
        "true_night_sky": SKY[level],
        "true_gain": np.random.default_rng(3).uniform(0.9, 1.1, len(events)),
        "true_dead_pixels": np.full(len(events), 0.01),
        "pedestal": SKY[level],
    }
    rng = np.random.default_rng(4)
    windows = np.repeat(np.arange(5), 200)
    night = NightSkyAnswers(
        {name: rng.normal(-2, 1, (1000, 1)) for name in logits},
        {"true_night_sky": SKY[windows] * 1.001},
        {"trees": "no parameters"},
    )
    return (
        events,
        level,
        logits,
        night,
        robustness(logits, "float", events, conditions, CONFIG, 5, night, further=["control"]),
    )


def test_figures_are_those_of_the_distributions(gaussian) -> None:
    *_, found = gaussian
    model = found.conditions["true_night_sky"].models["float"]
    cut = found.thresholds["float"]
    for row, shift in enumerate(SHIFT):
        expected = {
            "auc": norm.cdf(shift / np.sqrt(2)),
            "gamma": norm.sf(cut - shift),
            "hadron": norm.sf(cut),
        }
        for key, value in expected.items():
            assert getattr(model, key)[row].low < value < getattr(model, key)[row].high, (key, row)
    # the threshold that keeps 70 % of all gammas: a mixture of five Gaussian distributions
    assert np.mean(norm.sf(cut - SHIFT)) == pytest.approx(0.7, abs=0.02)
    assert found.overall["float"]["gamma"].value == pytest.approx(0.7, abs=1e-3)
    loss = norm.cdf(SHIFT[-1] / np.sqrt(2)) - norm.cdf(SHIFT[0] / np.sqrt(2))
    assert model.change["auc"].low < loss < model.change["auc"].high
    assert model.change["auc"].high < 0
    assert model.change["auc"].seen
    largest = np.abs(norm.sf(cut - SHIFT) / np.mean(norm.sf(cut - SHIFT)) - 1).max()
    assert model.largest["gamma"].low < largest < model.largest["gamma"].high
    # hadrons do not change: no more than by chance
    assert model.largest["hadron"].value < 2 * model.largest["hadron"].chance


def test_figures_are_those_counted_by_hand(gaussian) -> None:
    events, level, logits, _, found = gaussian
    sky = found.conditions["true_night_sky"]
    assert list(found.conditions) == ["true_night_sky", "true_gain"]
    assert sky.edges == (SKY[0], *SKY[1:], SKY[-1])
    assert sky.values == (1,) * 5
    assert sky.medians == tuple(SKY)
    for name, logit in logits.items():
        cut = np.sort(logit[events.gamma])[::-1][int(np.ceil(0.7 * events.gamma.sum())) - 1]
        assert found.thresholds[name] == cut
        gammas, all_gammas = [], np.mean(logit[events.gamma] >= cut)
        for row in range(5):
            here = level == row
            model = sky.models[name]
            area = roc_auc_score(events.label[here], logit[here])
            assert model.auc[row].value == pytest.approx(area)
            gammas.append(np.mean(logit[here & events.gamma] >= cut))
            assert model.gamma[row].value == pytest.approx(gammas[-1])
            hadrons = np.mean(logit[here & ~events.gamma] >= cut)
            assert model.hadron[row].value == pytest.approx(hadrons)
            assert sky.events["gamma"][row] == np.sum(here & events.gamma)
        assert model.change["gamma"].value == pytest.approx((gammas[4] - gammas[0]) / all_gammas)
        assert model.largest["gamma"].value == pytest.approx(np.abs(gammas / all_gammas - 1).max())


def test_a_model_that_loses_more_is_found_and_a_rescaled_one_is_the_same(gaussian) -> None:
    *_, found = gaussian
    sky = found.conditions["true_night_sky"]
    compared = sky.differences["float"]["compressed"].change["auc"]
    assert compared.state == "worse"
    assert compared.high < 0
    assert compared.verdict.endswith(" more")
    # AUC and acceptances do not depend on the scale of the logits
    assert sky.differences["control"]["compressed"] == sky.differences["float"]["compressed"]
    assert sky.models["control"] == sky.models["float"]


def test_a_condition_of_no_influence_changes_nothing(gaussian) -> None:
    *_, found = gaussian
    gain = found.conditions["true_gain"]
    for model in gain.models.values():
        for row in model.change.values():
            assert row.low < 0 < row.high
        for row in model.largest.values():
            assert row.value < 2.5 * row.chance
    assert gain.differences["float"]["compressed"].change["auc"].state in ("unchanged", "unresolved")
    assert [sum(pair) for pair in zip(*gain.events.values(), strict=True)] == [2000] * 5


def test_a_change_is_seen_where_its_95_percent_interval_excludes_none(gaussian) -> None:
    events, level, logits, *_ = gaussian
    rng = np.random.default_rng(9)
    conditions = {"true_night_sky": SKY[level], "true_gain": rng.uniform(0.9, 1.1, len(events))}
    config = EvaluationConfig(bootstrap=50, confidence=0.95)
    found = robustness({"compressed": logits["compressed"]}, "compressed", events, conditions, config, 5)
    seen = set()
    for condition in found.conditions.values():
        for row in condition.models["compressed"].change.values():
            assert row.seen == (row.low > 0 or row.high < 0)
            seen.add(row.seen)
    assert seen == {True, False}


def test_night_sky_is_counted_at_each_models_own_threshold(gaussian) -> None:
    _, _, _, night, found = gaussian
    for name, logit in night.logits.items():
        passes = np.asarray(logit)[:, 0] >= found.thresholds[name]
        row = found.night_sky.models[name]
        assert (row.accepted, row.events) == (passes.sum(), 1000)
        for place in range(5):
            part = found.conditions["true_night_sky"].night_sky[name][place]
            assert part.events == 200
            assert part.accepted == passes[200 * place : 200 * (place + 1)].sum()
    # its gains are not known: no bins, not a guess
    assert found.conditions["true_gain"].night_sky == {}
    assert found.night_sky.not_judged == {"trees": "no parameters"}


@pytest.mark.parametrize(("k", "n"), [(0, 400), (3, 400), (400, 400), (1, 2)])
def test_accepted_part_has_wilsons_interval(k: int, n: int) -> None:
    found = accepted(np.arange(n) < k, 0.68)
    low, high = binom_conf_interval(k, n, 0.68, interval="wilson")
    assert (found.value, found.accepted, found.events) == (k / n, k, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


def test_no_window_has_no_part() -> None:
    found = accepted(np.zeros(0, dtype=bool), 0.68)
    assert (found.value, found.events, found.flag) == (None, 0, "no events")


@pytest.mark.parametrize(
    ("showers", "uses", "bins", "flagged"),
    [(600, 1, 5, False), (600, 10, 5, False), (170, 10, 3, False), (60, 50, 2, True)],
)
def test_bins_hold_enough_showers_or_are_fewer(showers, uses, bins, flagged) -> None:
    """A bin's statistics are its showers: ten uses of each make no more of them."""
    label = np.tile([0, 1], showers * uses)
    shower = np.repeat(np.arange(showers * uses) // uses, 2)
    rng = np.random.default_rng(6)
    value = rng.permutation(showers)[shower].astype(float)
    events = EvaluationEvents(label, np.ones(len(label)), shower)
    logit = label + rng.normal(0, 1, len(label))
    config = EvaluationConfig(bootstrap=20)
    found = robustness({"compressed": logit}, "compressed", events, {"true_gain": value}, config, 1)
    gain = found.conditions["true_gain"]
    assert len(gain.edges) == bins + 1
    assert bool(gain.flag) == (bins < 5)
    rows = gain.models["compressed"].auc
    assert [row.flag for row in rows] == list(gain.flags)
    assert all(gain.flags) == flagged
    assert bool(gain.models["compressed"].change["auc"].flag) == flagged
    if flagged:
        assert gain.flags == ("30 gamma showers, 30 hadron showers",) * 2
    # plain values, without NaN
    json.dumps(plain(found), allow_nan=False)


def test_events_of_unknown_condition_are_in_no_bin() -> None:
    events, level, noise = sample(2000)
    logit, sky = noise + events.label, SKY[level]
    missing = np.arange(2000) % 10 == 0
    found = robustness(
        {"compressed": logit},
        "compressed",
        events,
        {"true_night_sky": np.where(missing, np.nan, sky)},
        CONFIG,
        1,
    )
    sky_rows = found.conditions["true_night_sky"]
    assert sky_rows.unknown == 200
    alone = robustness(
        {"compressed": logit[~missing]},
        "compressed",
        events[~missing],
        {"true_night_sky": sky[~missing]},
        CONFIG,
        1,
    ).conditions["true_night_sky"]
    assert sky_rows.events == alone.events
    values = [[row.value for row in part.models["compressed"].auc] for part in (sky_rows, alone)]
    assert values[0] == values[1]


def test_what_does_not_vary_is_no_condition() -> None:
    events, _, noise = sample(200)
    rng = np.random.default_rng(1)
    still = {
        "true_gain": np.ones(200),
        "true_night_sky": np.full(200, np.nan),
        "spread": 2.0 + rng.uniform(0, 0.05, 200),
        "dark": rng.uniform(0, 1, 200),
    }
    found = robustness({"compressed": noise}, "compressed", events, still, CONFIG, 1)
    assert found == Robustness(found.reason)
    assert "no condition of the camera varies" in found.reason
    # a measured noise has an error of its own, one that the sky moves has more than that
    assert list(varied({**still, "spread": rng.uniform(2, 3, 200)})) == ["spread"]
    windows = NightSkyAnswers({"compressed": np.full(10, 9.0)}, {}, {})
    found = robustness({"compressed": noise}, "compressed", events, still, CONFIG, 1, windows)
    assert found.conditions == {}
    assert found.night_sky.models["compressed"].value == 1.0


def test_a_rare_value_above_a_common_one_has_a_bin() -> None:
    label, shower = np.tile([0, 1], 1000), np.repeat(np.arange(1000), 2)
    resamples = resample_showers(shower, label, 20, 1)
    value = np.where(shower % 10 == 0, shower.astype(float), 0.0)
    bins = condition_bins(value, label == 1, resamples, 5)
    assert len(bins) == 2
    assert "2 bins, not 5" in bins.flag
    np.testing.assert_array_equal(bins.index, (value > 0).astype(int))
    assert bins.place([-1.0, 1e9, np.nan]).tolist() == [0, 1, 2]


def test_verdicts_on_changes() -> None:
    rng = np.random.default_rng(8)

    def draws(value: float, error: float):
        return np.r_[value, rng.normal(value, error, 400)]

    none = np.zeros(401)
    assert change_verdict(none, none, "auc") == ("unchanged", "changes as much")
    assert change_verdict(draws(-0.03, 0.003), none - 0.01, "auc")[0] == "worse"
    # a change in the other direction is worse too, if it is larger
    assert change_verdict(draws(0.03, 0.003), none - 0.01, "auc")[0] == "worse"
    state, words = change_verdict(draws(-0.1, 0.02), none - 0.3, "gamma")
    assert state == "better"
    assert words.startswith("changes by 20")
    assert words.endswith("% less")
    assert change_verdict(draws(0.0, 0.002), none, "auc")[0] == "unchanged"
    assert change_verdict(draws(0.0, 0.02), none, "auc")[0] == "unresolved"
    assert change_verdict(none * np.nan, none, "auc")[0] == "undefined"

import numpy as np
import pytest

from trigger_ml.evaluation.degradation import compare, flips, verdict
from trigger_ml.evaluation.uncertainty import resample_showers


def resampled(center, width, n=2000):
    """An estimate and draws whose central 68 % interval is center ± width."""
    return np.r_[center, np.random.default_rng(1).normal(center, width, n)]


def test_a_clear_loss_is_worse_with_its_error():
    assert verdict(resampled(-0.08, 0.02), "higher") == ("worse", "worse by 8 ± 2 %")


def test_the_same_change_is_better_where_less_is_better():
    assert verdict(resampled(-0.08, 0.02), "lower") == ("better", "better by 8 ± 2 %")


def test_no_change_is_bounded_by_the_95_percent_interval():
    state, words = verdict(resampled(0.0, 0.006, 100_000), "higher")
    assert (state, words) == ("unchanged", "unchanged within 1.2 %")


def test_one_sigma_is_no_verdict():
    assert verdict(resampled(-0.01, 0.01), "higher")[0] == "unchanged"


def test_a_wide_interval_is_not_called_unchanged():
    state, words = verdict(resampled(0.0, 0.2), "higher")
    assert state == "unresolved"
    assert words.startswith("no change seen, but only known within 4")


def test_digits_follow_the_error():
    assert verdict(resampled(-0.1234, 0.0121), "higher")[1] == "worse by 12.3 ± 1.2 %"
    assert verdict(resampled(-0.0044, 0.00055), "higher")[1] in (
        "worse by 0.44 ± 0.05 %",
        "worse by 0.44 ± 0.06 %",
    )


def test_undefined_where_the_estimate_or_many_draws_are():
    assert verdict(np.r_[np.nan, np.zeros(50)], "higher")[0] == "undefined"
    assert verdict(np.r_[0.0, np.full(50, np.nan)], "higher")[0] == "undefined"


def test_comparison_gives_difference_and_ratio():
    first, second = np.full((1, 101), 0.8), np.full((1, 101), 0.6)
    (found,) = compare("auc", first, second, 0.68)
    assert found.difference.value == pytest.approx(-0.2)
    assert found.ratio.value == pytest.approx(0.75)
    assert found.state == "worse"
    assert (found.reference.value, found.model.value) == (0.8, 0.6)


def test_equal_models_are_identical_and_zero_divides_nothing():
    values = resampled(0.9, 0.01)[None]
    assert compare("auc", values, values, 0.68)[0].verdict == "identical"
    (found,) = compare("hadron_efficiency", np.zeros((1, 21)), np.full((1, 21), 0.1), 0.68)
    assert found.ratio.value is None
    assert found.state == "undefined"
    assert found.difference.value == pytest.approx(0.1)


def test_a_bias_is_judged_by_its_distance_from_zero():
    zero, off = resampled(0.0, 0.01)[None], resampled(-0.2, 0.01)[None]
    assert compare("energy_bias", zero, off, 0.68)[0].state == "worse"
    better = compare("energy_bias", off, zero, 0.68)[0]
    assert better.state == "better"
    assert better.verdict.startswith("better by ")
    assert better.verdict.endswith(" % of the energy")
    wide = resampled(0.0, 0.5)[None]
    assert compare("energy_bias", wide, -wide[:, ::-1], 0.68)[0].state == "unresolved"
    assert compare("azimuth_bias", zero, off, 0.68)[0].verdict.endswith(" deg")
    assert compare("energy_bias", zero, zero, 0.68)[0].state == "unchanged"


def test_flips_by_hand():
    gamma = np.array([True, True, True, False, False])
    before = np.array([True, True, False, True, False])
    after = np.array([True, False, True, True, True])
    r = resample_showers(np.arange(5), gamma, 30, 1, [1.0, 2.0, 1.0, 1.0, 3.0])
    found = flips(r, gamma, before, after, 0.68)
    assert (found["all"].lost, found["all"].gained, found["all"].events) == (1, 2, 5)
    assert (found["gamma"].lost, found["gamma"].gained) == (1, 1)
    assert (found["hadron"].lost, found["hadron"].gained) == (0, 1)
    assert found["all"].fraction.value == pytest.approx(6 / 8)
    assert found["gamma"].fraction.value == pytest.approx(3 / 4)


def test_a_bias_that_changes_its_side_is_said_to_have_moved():
    rng = np.random.default_rng(8)
    low, high = (centre + 0.02 * rng.normal(size=(1, 201)) for centre in (-0.17, 0.17))
    low[:, 0], high[:, 0] = -0.17, 0.17
    found = compare("energy_bias", low, high, 0.68)[0]
    assert found.state == "unresolved"
    assert found.verdict.startswith("moved by 34")
    assert "not seen to be larger or smaller" in found.verdict
    # a thousandth on either side is no change
    assert compare("energy_bias", 0.001 + low * 0, -0.001 + low * 0, 0.68)[0].state == "unchanged"


def test_a_change_of_a_value_near_zero_is_not_given_in_thousands_of_percent():
    rng = np.random.default_rng(9)
    change = np.concatenate([[0.5], rng.normal(0, 15, 200)])
    assert verdict(change, "higher") == (
        "unresolved", "no change seen, but one as large as the value itself is not excluded",
    )  # fmt: skip

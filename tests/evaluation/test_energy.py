import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from pairs import evaluate_pair
from pyirf.benchmarks import energy_bias_resolution
from scipy.optimize import curve_fit
from sklearn import metrics

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation.energy import energy_details, energy_metrics, gaussian_width
from trigger_ml.evaluation.events import EvaluationEvents, energy_bins
from trigger_ml.evaluation.uncertainty import resample_showers


@pytest.fixture
def data():
    rng = np.random.default_rng(2)
    n = 6001
    true = 10 ** rng.uniform(0, 2, n)
    reco = true * (1.05 + 0.2 * rng.normal(size=n)).clip(0.05)
    return true, reco, resample_showers(np.arange(n) // 3, np.ones(n), 20, seed=1)


def test_overall_metrics_are_scikit_learns(data):
    true, reco, r = data
    found = energy_metrics(r, reco, true, np.zeros(len(true), dtype=np.int64), 1)
    for name, expected in (
        ("mse", metrics.mean_squared_error(true, reco)),
        ("mae", metrics.mean_absolute_error(true, reco)),
        ("rmsle", metrics.root_mean_squared_log_error(true, reco)),
        ("r2", metrics.r2_score(true, reco)),
        ("energy_std", np.std(reco / true)),
        ("energy_mean_bias", np.mean(reco / true) - 1),
    ):
        assert found[name][0, 0] == pytest.approx(expected, rel=1e-9)
    weight = r.counts[r.shower, 3]
    expected = metrics.r2_score(true, reco, sample_weight=weight)
    assert found["r2"][0, 3] == pytest.approx(expected)


def test_bias_and_resolution_are_pyirfs(data):
    true, reco, r = data
    bins = energy_bins(true, 5)
    found = energy_metrics(r, reco, true, bins.index, len(bins))
    table = QTable({"true_energy": true * u.TeV, "reco_energy": reco * u.TeV})
    expected = energy_bias_resolution(table, bins.edges * u.TeV)
    # pyirf interpolates between events, the inverse of the distribution does not
    np.testing.assert_allclose(found["energy_bias"][:, 0], expected["bias"], atol=2e-3)
    np.testing.assert_allclose(found["energy_resolution"][:, 0], expected["resolution"], atol=2e-3)


def test_gaussian_width_is_that_of_a_fit():
    rng = np.random.default_rng(0)
    n = 40_000
    bins = np.arange(n) % 2
    value = np.where(bins == 0, rng.normal(0.1, 0.2, n), rng.normal(-0.3, 0.05, n))
    # outliers widen the standard deviation, not the core
    value[:400] = 5.0
    r = resample_showers(np.arange(n), np.ones(n), 20, seed=1)
    found = gaussian_width(r, value, np.array([0.1, -0.3]), np.array([0.2, 0.05]), bins, 2)
    assert found.shape == (2, 21)
    for b, (center, width) in enumerate(((0.1, 0.2), (-0.3, 0.05))):
        content, edges = np.histogram(value[bins == b], 24, (center - 2 * width, center + 2 * width))
        middle = 0.5 * (edges[1:] + edges[:-1])
        (_, _, sigma), _ = curve_fit(
            lambda x, a, m, s: a * np.exp(-0.5 * ((x - m) / s) ** 2), middle, content, (1e3, center, width)
        )
        assert found[b, 0] == pytest.approx(abs(sigma), rel=0.03)
        assert found[b, 0] == pytest.approx(width, rel=0.03)


def test_gaussian_width_of_nothing_is_nan():
    r = resample_showers(np.arange(3), np.ones(3), 20, seed=1)
    value, bins = np.zeros(3), np.zeros(3, dtype=np.int64)
    found = gaussian_width(r, value, np.array([0.0, np.nan]), np.array([0.0, np.nan]), bins, 2)
    assert np.isnan(found).all()


def test_migration_matrix_counts_events(data):
    true, reco, r = data
    bins = energy_bins(true, 5)
    found = energy_details(r, reco, true, bins, 0.68, 10)
    matrix = np.array(found.migration.events)
    assert matrix.shape == (20, 20)
    outside = np.count_nonzero((reco < bins.edges[0]) | (reco >= bins.edges[-1]))
    assert found.migration.outside == outside
    assert matrix.sum() == len(true) - outside
    rows = np.histogram(true[(reco >= 1) & (reco < 100)], found.migration.edges)[0]
    np.testing.assert_array_equal(matrix.sum(axis=1), rows)


def test_details_against_reconstructed_energy(data):
    true, reco, r = data
    bins = energy_bins(true, 5)
    found = energy_details(r, reco, true, bins, 0.68, 10)
    inside = (reco >= bins.edges[4]) & (reco < bins.edges[5])
    expected = np.mean(reco[inside] / true[inside]) - 1
    assert found.reconstructed["energy_mean_bias"][4].value == pytest.approx(expected)
    assert found.reconstructed["energy_mean_bias"][4].events == inside.sum()


def test_evaluate_judges_gammas_only():
    rng = np.random.default_rng(3)
    n = 2000
    label, energy = np.arange(n) % 2, 10 ** rng.uniform(0, 2, n)
    events = EvaluationEvents(label, energy, np.arange(n))
    good = np.log10(energy) + 0.05 * rng.normal(size=n)
    bad = good + 0.1 * rng.normal(size=n)
    # hadrons must not matter
    good[label == 0] = 99
    config = EvaluationConfig(bootstrap=40)
    found = evaluate_pair(good[:, None], bad[:, None], events, config, 1, "energy")
    assert found.events.used == 1000
    assert found.pair().metrics["energy_resolution"].state == "worse"
    assert found.pair().metrics["energy_resolution"].reference.value == pytest.approx(0.115, abs=0.01)
    assert found.pair().bins["energy_resolution"][2].ratio.value > 1.5
    assert "r2" not in found.pair().bins
    assert sum(found.details.energy_distribution["hadron"]) > 900
    reconstructed = found.details.reconstructed_distribution["float"]
    assert sum(reconstructed["gamma"]) > 900
    assert sum(reconstructed["hadron"]) == 0
    with pytest.raises(InputError, match="2 outputs for task energy"):
        evaluate_pair(np.zeros((n, 2)), np.zeros((n, 2)), events, config, 1, "energy")
    with pytest.raises(InputError, match="no gammas"):
        evaluate_pair(good[label == 0], bad[label == 0], events[label == 0], config, 1, "energy")


def test_absurd_energies_do_not_overflow():
    events = EvaluationEvents(np.ones(50), np.full(50, 3.0), np.arange(50))
    wild = np.full(50, 500.0)
    found = evaluate_pair(np.full(50, 0.5), wild, events, EvaluationConfig(bootstrap=20), 1, "energy")
    assert np.isfinite(found.pair().metrics["mae"].model.value)
    assert "50 energies" in found.flags[0]
    assert found.pair().metrics["r2"].reference.value is None

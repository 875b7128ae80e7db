import math

import numpy as np
import pytest
from scipy.integrate import quad

from trigger_ml.simulation import electromagnetic as em
from trigger_ml.simulation.shower import ShowerMaker


def berger_seltzer(energy, density_ratio):
    """Collision loss of electrons in air with Sternheimer's density effect, MeV / (g/cm2)."""
    tau, excitation = energy / 0.511, 85.7e-6 / 0.511
    beta2 = 1 - 1 / (tau + 1) ** 2
    f = 1 - beta2 + (tau**2 / 8 - (2 * tau + 1) * math.log(2)) / (tau + 1) ** 2
    shift = math.log(1 / density_ratio)
    c, x0, x1 = 10.5961 + shift, 1.7418 + shift / math.log(100), 4.2759 + shift / math.log(100)
    x = math.log10(math.sqrt(tau * (tau + 2)))
    delta = 0.0
    if x > x0:
        delta = 4.6052 * x - c + (0.10914 * (x1 - x) ** 3.3994 if x < x1 else 0.0)
    return 0.153536 * 0.49919 / beta2 * (math.log(tau**2 * (tau + 2) / 2 / excitation**2) + f - delta)


@pytest.mark.parametrize("energy", [22, 40, 100, 300, 1000, 10000])
def test_ionization(energy):
    assert em._ionization(float(energy)) == pytest.approx(berger_seltzer(energy, 0.33), rel=0.04)


@pytest.mark.parametrize("energy", [10.0, 100.0])
def test_compton_rate_is_the_integrated_cross_section(energy):
    k, r2 = energy / em.ELECTRON_MASS, 7.940787e-26

    def differential(cosine):
        p = 1 / (1 + k * (1 - cosine))
        return math.pi * r2 * p**2 * (p + 1 / p - (1 - cosine**2))

    expected = quad(differential, -1, 1, points=[0.9, 0.99, 0.999])[0] * 3.006e23
    assert em._compton_rate(energy) == pytest.approx(expected, rel=1e-3)


def test_samplers_follow_their_spectra(rng):
    pair = np.array([em._pair_share(rng) for _ in range(40_000)])
    # 1 - 4/3 x (1 - x): mean 1/2, second moment (1/3 - 4/3 (1/4 - 1/5)) / (7/9)
    assert pair.mean() == pytest.approx(0.5, abs=0.005)
    assert (pair**2).mean() == pytest.approx((1 / 3 - 4 / 3 * (1 / 4 - 1 / 5)) / (7 / 9), abs=0.005)
    low = 0.01
    photons = np.array([em._brems_share(rng, low) for _ in range(40_000)])
    norm = quad(lambda y: 4 / 3 / y - 4 / 3 + y, low, 1)[0]
    mean = quad(lambda y: 4 / 3 - 4 / 3 * y + y * y, low, 1)[0] / norm
    assert photons.min() >= low
    assert photons.mean() == pytest.approx(mean, rel=0.02)
    energy = 30.0
    shares = np.array([em._compton_share(rng, energy) for _ in range(40_000)])
    smallest = 1 / (1 + 2 * energy / em.ELECTRON_MASS)

    def klein_nishina(e):
        t = em.ELECTRON_MASS / energy * (1 / e - 1)
        return 1 / e + e - t * (2 - t)

    norm = quad(klein_nishina, smallest, 1)[0]
    mean = quad(lambda e: (1 - e) * klein_nishina(e), smallest, 1)[0] / norm
    assert shares.mean() == pytest.approx(mean, rel=0.02)


def test_energy_becomes_track_length(maker, rng, axis):
    # an electron loses about 2.3 MeV / (g/cm2) and stops counting at 21 MeV: below 1 / 2.3 of the energy,
    # above half
    profile = sum(maker.make(rng, "gamma", 0.3, axis).profile for _ in range(20))
    assert 0.17 < profile.sum() / 20 / 0.3e6 < 0.30


def test_thinning_does_not_shift_the_mean(atmosphere, axis):
    totals = {}
    for thinning in (1e-5, 1e-2):
        make = ShowerMaker(atmosphere, np.zeros(3), thinning).make
        rng = np.random.default_rng(3)
        totals[thinning] = [make(rng, "gamma", 0.1, axis).profile.sum() for _ in range(60)]
    errors = [np.std(t) / math.sqrt(len(t)) for t in totals.values()]
    assert abs(np.mean(totals[1e-5]) - np.mean(totals[1e-2])) < 4 * math.hypot(*errors)
    assert np.mean(totals[1e-5]) == pytest.approx(np.mean(totals[1e-2]), rel=0.05)


def test_thinned_weights_are_bounded(maker, rng, axis):
    segments = maker.make(rng, "gamma", 1.0, axis).segments
    weight = segments[:, 8] / (segments[:, 6] * segments[:, 7] ** 2)
    assert weight.min() > 0.999
    assert weight.max() < 1e4
    # segments are unit vectors that go down, with angles below the maximum at sea level
    np.testing.assert_allclose(np.linalg.norm(segments[:, 3:6], axis=1), 1, atol=1e-4)
    assert np.all(segments[:, 5] < 0)
    assert np.all(segments[:, 7] < math.radians(1.4))


def test_magnetic_field_bends_charges_apart(atmosphere, axis):
    spread = {}
    for field in (0.0, 60e-6):
        make = ShowerMaker(atmosphere, np.array([field, 0, 0]), 1e-3).make
        rng = np.random.default_rng(5)
        segments = np.concatenate([make(rng, "gamma", 0.3, axis).segments.copy() for _ in range(15)])
        spread[field] = np.average(np.abs(segments[:, 4]), weights=segments[:, 8])
    assert spread[60e-6] > 1.1 * spread[0.0]

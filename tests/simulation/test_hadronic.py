import math

import numpy as np
import pytest

from trigger_ml.simulation import hadronic
from trigger_ml.simulation.interactions import KAON, MASSES, MUON, NUCLEON, PI_PLUS, PION, PROTON


def test_free_path(library):
    # 90 g/cm2 at 100 GeV for protons, longer for pions, kaons longest
    paths = [hadronic._free_path(p, 1e5, library.cross_section) for p in (NUCLEON, PION, KAON)]
    assert paths[0] == pytest.approx(81, abs=6)
    assert paths[0] < paths[1] < paths[2]


def test_two_body_decay(rng):
    mass, muon = MASSES[PI_PLUS], MASSES[MUON]
    energy = 20e3
    draws = np.array([hadronic._two_body(rng, energy, mass, muon, 0.0) for _ in range(5000)])
    # fractions of the pion's energy: from (m_mu / m_pi)^2 to 1, evenly; momentum 29.79 MeV at rest
    least = (muon / mass) ** 2
    assert draws[:, 0].min() > least * energy * 0.999
    assert draws[:, 0].max() < energy * 1.0001
    assert draws[:, 0].mean() == pytest.approx(0.5 * (1 + least) * energy, rel=0.01)
    assert draws[:, 1].max() == pytest.approx(29.79, rel=0.01)
    assert draws[:, 1].mean() == pytest.approx(29.79 * math.pi / 4, rel=0.02)


def follow(rng, atmosphere, library, axis, energy, kind=PROTON, count=40):
    heights = atmosphere.height(0.05) - atmosphere.observation_level
    position = axis * (heights / axis[2])
    start = np.array([[kind, energy, position[0], position[1], 0.05, *axis, 0.0, 1.0]])
    runs = []
    for _ in range(count):
        light, n_light, tracks, n_tracks, first = hadronic.follow(
            rng,
            start,
            axis,
            atmosphere.lookup,
            atmosphere.ground_depth,
            np.zeros(3),
            0.0,
            library.events,
            library.offsets,
            library.code,
            library.fraction,
            library.px,
            library.py,
            library.cross_section,
        )
        runs.append((light[:n_light].copy(), tracks[:n_tracks].copy(), first))
    return runs


def test_proton_showers(rng, atmosphere, library, axis):
    runs = follow(rng, atmosphere, library, axis, 2e6)
    electromagnetic = np.array([run[0][:, 1].sum() / 2e6 for run in runs])
    # of a proton of some TeV about half the energy ends in photons, with large fluctuations
    assert 0.3 < electromagnetic.mean() < 0.65
    assert electromagnetic.std() > 0.08
    # no energy from nothing: photons have less than the primary
    assert electromagnetic.max() < 1.0
    first = np.array([run[2] for run in runs])
    # exponential with the free path, projected on the vertical
    path = hadronic._free_path(NUCLEON, 2e6, library.cross_section) * -axis[2]
    assert first.mean() == pytest.approx(path, rel=4 / math.sqrt(len(runs)))


def test_tracks_are_muons_and_hadrons_that_radiate(rng, atmosphere, library, axis):
    tracks = np.concatenate([run[1] for run in follow(rng, atmosphere, library, axis, 2e6, count=10)])
    np.testing.assert_allclose(np.linalg.norm(tracks[:, 3:6], axis=1), 1, atol=1e-9)
    assert np.all(tracks[:, 6] >= 0)
    # above the threshold at the height of the lower end
    end = tracks[:, 2] + tracks[:, 5] * tracks[:, 6]
    assert np.all(tracks[:, 7] <= 2 * atmosphere.refractivity(end - 50))
    assert end.min() == pytest.approx(atmosphere.observation_level, abs=1)
    # muons at the ground: some tens per TeV
    assert 2 < (end < atmosphere.observation_level + 1).sum() / 10 < 200


def test_muon_reaches_the_ground_and_loses_energy(rng, atmosphere, library, axis):
    runs = follow(rng, atmosphere, library, axis, 20e3, kind=MUON, count=20)
    assert all(len(run[0]) == 0 for run in runs)
    landed = [run[1] for run in runs if len(run[1])]
    assert landed
    # m^2 / E^2 grows: 2.2 MeV / (g/cm2) over 850 g/cm2 of 20 GeV
    track = max(landed, key=len)
    lost = math.sqrt(1 / track[0, 7]) - math.sqrt(1 / track[-1, 7])
    assert lost * MASSES[MUON] == pytest.approx(2.2 * 850, rel=0.1)


def test_thinning_keeps_the_energy(rng, atmosphere, library, axis):
    position = axis * ((atmosphere.height(0.05) - atmosphere.observation_level) / axis[2])
    start = np.array([[PROTON, 5e6, position[0], position[1], 0.05, *axis, 0.0, 1.0]])
    totals = {}
    for thinning in (0.0, 3e4):
        runs = []
        for _ in range(80):
            light, n, *_ = hadronic.follow(
                rng,
                start,
                axis,
                atmosphere.lookup,
                atmosphere.ground_depth,
                np.zeros(3),
                thinning,
                library.events,
                library.offsets,
                library.code,
                library.fraction,
                library.px,
                library.py,
                library.cross_section,
            )
            runs.append((light[:n, 1] * light[:n, 9]).sum() / 5e6)
        totals[thinning] = np.array(runs)
    errors = [t.std() / math.sqrt(len(t)) for t in totals.values()]
    assert abs(totals[0.0].mean() - totals[3e4].mean()) < 4 * math.hypot(*errors)

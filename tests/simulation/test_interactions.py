import numpy as np
import pytest

from trigger_ml.simulation import interactions as lib


def secondaries(library, projectile, energy):
    first, count = library.events[projectile, energy]
    begin, end = library.offsets[first], library.offsets[first + count]
    return library.code[begin:end], library.fraction[begin:end], count


@pytest.mark.parametrize("projectile", [lib.NUCLEON, lib.PION, lib.KAON])
@pytest.mark.parametrize("energy", [0, 9, 18])
def test_interactions_conserve_energy(library, projectile, energy):
    code, fraction, count = secondaries(library, projectile, energy)
    # the target's mass is extra; what flies backwards or is slow is left out
    assert fraction.sum() / count == pytest.approx(1.0, abs=0.03)
    photons = fraction[code == lib.GAMMA].sum() / count
    assert 0.10 < photons < 0.45
    assert np.all((code >= 0) & (code < len(lib.MASSES)))


def test_multiplicity_grows_with_energy(library):
    counts = [len(secondaries(library, lib.NUCLEON, e)[0]) for e in (0, 9, 18)]
    assert counts[0] < counts[1] < counts[2]


def test_cross_sections(library):
    # proton-air at 1 TeV: 280 to 320 mb in measurements with calorimeters; pions less; all grow
    near = np.abs(lib.grid_energies() - 1e6).argmin()
    assert 270 < library.cross_section[lib.NUCLEON, near] < 330
    assert np.all(library.cross_section[lib.PION] < library.cross_section[lib.NUCLEON])
    assert np.all(library.cross_section[:, -1] > library.cross_section[:, 0])


def test_leading_nucleon_carries_its_share(library):
    code, fraction, count = secondaries(library, lib.NUCLEON, 9)
    assert 0.3 < fraction[code <= lib.NEUTRON].sum() / count < 0.6


def test_cache_is_used_and_repaired(tmp_path, monkeypatch, library):
    monkeypatch.setenv("TRIGGER_ML_CACHE", str(tmp_path))
    built = []

    def build(counts, seed, workers):
        built.append(counts)
        return library

    monkeypatch.setattr(lib, "build_library", build)
    path = lib.load_library(0.02)
    assert path.parent == tmp_path
    assert lib.load_library(0.02) == path
    assert len(built) == 1
    path.write_bytes(b"half a file")
    np.testing.assert_array_equal(lib.read_library(lib.load_library(0.02)).code, library.code)
    assert len(built) == 2
    assert lib.load_library(0.5) != path

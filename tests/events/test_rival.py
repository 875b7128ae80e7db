"""What the trees are given: against ctapipe, one image at a time, and under other night skies."""

import astropy.units as u
import numpy as np
import pytest
from ctapipe.coordinates import TelescopeFrame
from ctapipe.image import hillas_parameters, number_of_islands, tailcuts_clean
from ctapipe.image.toymodel import Gaussian

from trigger_ml.core.config import EventsConfig
from trigger_ml.core.errors import InputError
from trigger_ml.events.dl1 import write_dl1
from trigger_ml.events.loading import load_dataset
from trigger_ml.events.rival import LEVELS, RivalParameters, read_parameters
from trigger_ml.instrument.digicam import digicam_geometry, sst1m_subarray


def showers(n: int, noise: float, seed: int = 4) -> np.ndarray:
    """Toy showers, the last one too faint to survive any cleaning."""
    geometry, rng = digicam_geometry(), np.random.default_rng(seed)
    made = []
    for _ in range(n - 1):
        model = Gaussian(
            x=rng.uniform(-0.3, 0.3) * u.m, y=rng.uniform(-0.3, 0.3) * u.m, length=0.05 * u.m,
            width=0.015 * u.m, psi=rng.uniform(0, 180) * u.deg,
        )  # fmt: skip
        made.append(model.generate_image(geometry, intensity=900, nsb_level_pe=0, rng=rng)[1])
    images = np.array([*made, np.zeros(1296)])
    return (images + np.random.default_rng(5).normal(0, noise, images.shape)).astype(np.float32)


def test_parameters_are_those_of_ctapipe_at_thresholds_of_the_noise() -> None:
    geometry, images = digicam_geometry(), showers(7, noise=1.5)
    sky = geometry.transform_to(TelescopeFrame())
    found = RivalParameters(geometry).compute(images)
    neighbours = geometry.neighbor_matrix
    for row, image in enumerate(images):
        # the level is one of the pixels': of 432 the 217th, and the 69th below it
        some = np.sort(image[::3])
        charge = image - some[216]
        spread = some[216] - some[68]
        assert found["noise"][row] == pytest.approx(spread, rel=1e-5)
        assert found["total"][row] == pytest.approx(charge.sum(), rel=1e-4, abs=1e-2)
        for level in LEVELS:
            picture = max(level.picture, level.picture_sigma * spread)
            boundary = max(level.boundary, level.boundary_sigma * spread)
            lit = tailcuts_clean(geometry, charge, picture, boundary, min_number_picture_neighbors=2)
            name = level.name
            islands, labels = number_of_islands(geometry, lit)
            assert found[f"n_pixels_{name}"][row] == lit.sum()
            assert found[f"islands_{name}"][row] == islands
            first = lit | neighbours[lit].any(axis=0)
            second = first | neighbours[first].any(axis=0)
            for key, mask in (
                ("dark_sum", ~lit),
                ("dark_bright", ~lit & (charge > 2.5 * spread)),
                ("halo_first", first & ~lit),
                ("halo_second", second & ~first),
            ):
                expected = charge[mask].sum()
                assert found[f"{key}_{name}"][row] == pytest.approx(expected, rel=1e-4, abs=1e-2)
            if not lit.any():
                assert np.isnan(found[f"length_{name}"][row])
                continue
            hillas = hillas_parameters(sky[lit], charge[lit])
            for key in ("length", "width", "r"):
                value = getattr(hillas, key).to_value(u.deg)
                assert found[f"{key}_{name}"][row] == pytest.approx(value, rel=1e-4)
            assert found[f"size_{name}"][row] == pytest.approx(np.log10(hillas.intensity), rel=1e-5)
            assert found[f"skewness_{name}"][row] == pytest.approx(abs(hillas.skewness), rel=1e-2, abs=1e-3)
            brightest = max(charge[labels == island].sum() for island in range(1, islands + 1))
            assert found[f"main_island_{name}"][row] == pytest.approx(brightest / charge[lit].sum(), rel=1e-4)
            top = np.sort(charge[lit])[::-1]
            assert found[f"brightest_{name}"][row] == pytest.approx(top[0] / top.sum(), rel=1e-4)


def test_a_pedestal_changes_nothing_and_more_noise_lights_no_dark_pixels() -> None:
    rival, images = RivalParameters(digicam_geometry()), showers(20, noise=1.0)
    found, shifted = rival.compute(images), rival.compute(images + np.float32(7.5))
    for name, column in found.items():
        np.testing.assert_allclose(shifted[name], column, rtol=1e-3, atol=2e-2, err_msg=name)
    # above the least thresholds only ratios to the noise count; fixed tail cuts would keep much of the noise
    dark = np.random.default_rng(6).normal(3.0, 3.0, (200, 1296)).astype(np.float32)
    kept = rival.compute(dark)["n_pixels_low"]
    assert kept.mean() < 2
    np.testing.assert_array_equal(rival.compute(2 * dark)["n_pixels_low"], kept)
    fixed = rival._parameters.clean(2 * dark - 2 * np.median(dark, axis=1, keepdims=True), 5.0, 3.0)
    assert fixed.sum(axis=1).mean() > 100


def test_parameters_are_matched_to_the_dataset(tmp_path, make_events) -> None:
    """Events are found by their numbers, whatever the dataset's order and however many it left out."""
    made, paths = [], []
    for seed, particle in enumerate(("gamma", "proton")):
        made.append(make_events(30, particle=particle, seed=seed))
        paths.append(tmp_path / f"{particle}.dl1.h5")
        write_dl1(paths[-1], made[-1], sst1m_subarray())
    dataset = load_dataset(paths, EventsConfig())
    order = np.random.default_rng(1).permutation(60)[:25]
    found = read_parameters(dataset[order], EventsConfig())
    # the dataset's rows are those of the files one after the other
    expected = RivalParameters(digicam_geometry()).compute(np.concatenate([t.image for t in made])[order])
    for name, column in expected.items():
        np.testing.assert_allclose(found[name], column, rtol=1e-4, atol=1e-4, err_msg=name)
    gone = dataset[order]
    gone.event_id[3] = 10**9
    with pytest.raises(InputError, match="event 1000000000: has no image"):
        read_parameters(gone, EventsConfig())

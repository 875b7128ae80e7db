from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest

from trigger_ml.core.errors import InputError
from trigger_ml.instrument.digicam import digicam, digicam_geometry
from trigger_ml.instrument.patches import Patches, clusters, patches_of_three


@pytest.fixture(scope="module")
def patches():
    return digicam().patches


@pytest.fixture(scope="module")
def table(shared_data):
    """The camera's own configuration table, by software pixel number."""
    rows = [
        line.split()
        for line in (shared_data / "digicam-geometry" / "camera_config.cfg").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    table = np.array([row[:42] for row in rows], dtype=float)
    return table[np.argsort(table[:, 8])].astype(int)


def test_patches_and_clusters_are_the_cameras(patches, table):
    np.testing.assert_array_equal(patches.patch_of_pixel, table[:, 11])
    for row in table:
        assert set(patches.cluster[row[11]]) == set(row[16:23])
        assert set(patches.cluster_19[row[11]]) == set(row[23:42])


def test_every_patch_has_three_pixels_that_touch(patches):
    assert np.all(np.bincount(patches.patch_of_pixel) == 3)
    assert patches.cluster.shape == (432, 7)
    assert patches.cluster_19.shape == (432, 19)
    assert len(patches) == 432
    touching = digicam().geometry.neighbor_matrix
    for patch in range(432):
        pixels = np.flatnonzero(patches.patch_of_pixel == patch)
        assert touching[np.ix_(pixels, pixels)].sum() == 6


@pytest.mark.parametrize("name", ["cluster", "cluster_19"])
def test_neighbours_are_mutual(patches, name):
    members = getattr(patches, name)
    for patch, cluster in enumerate(members):
        assert all(patch in members[other] for other in cluster if other >= 0)


def test_a_cluster_of_19_is_the_clusters_of_7_of_a_cluster_of_7(patches):
    inside = [p for p in range(432) if (patches.cluster_19[p] >= 0).all()]
    assert len(inside) > 200
    for patch in inside:
        assert set(patches.cluster[patches.cluster[patch]].ravel()) == set(patches.cluster_19[patch])


def test_patches_at_the_edge_may_have_fewer_pixels(patches):
    geometry = digicam_geometry()
    x, y = geometry.pix_x.to_value("m"), geometry.pix_y.to_value("m")
    # without the second pixel the first patch has two, and the others stay as they are
    lost = np.flatnonzero(patches.patch_of_pixel == patches.patch_of_pixel[0])[1]
    kept = np.arange(1296) != lost
    found, _ = patches_of_three(x[kept], y[kept])
    np.testing.assert_array_equal(found, patches.patch_of_pixel[kept])


def test_another_lattice_is_refused():
    x, y = np.meshgrid(np.arange(6.0), np.arange(6.0))
    with pytest.raises(InputError, match="hexagonal lattice with rows of equal x"):
        patches_of_three(x.ravel(), y.ravel())
    geometry = digicam_geometry()
    with pytest.raises(InputError, match="rows of equal x"):
        patches_of_three(geometry.pix_y.to_value(u.m), geometry.pix_x.to_value(u.m))


def test_clusters_of_a_line():
    position = np.stack([np.arange(4.0), np.zeros(4)], axis=1)
    assert clusters(position, 1.0, 1)[1].tolist() == [0, 1, 2, -1, -1, -1, -1]
    assert clusters(position, 1.0, 2)[0].tolist() == [0, 1, 2] + [-1] * 16


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"patch_of_pixel": np.zeros(9, dtype=np.int64)}, "every patch from 0 to 431"),
        ({"cluster": np.zeros((432, 6), dtype=np.int64)}, r"`cluster` has shape \(432, 6\)"),
        ({"cluster_19": np.full((432, 19), 432)}, "`cluster_19` names a patch that is not there"),
        ({"cluster": np.zeros((432, 7), dtype=np.int64)}, "`cluster` lacks a patch"),
    ],
)
def test_what_does_not_fit_is_refused(patches, change, why):
    assert isinstance(patches, Patches)
    with pytest.raises(InputError, match=why):
        replace(patches, **change)

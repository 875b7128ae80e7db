import numpy as np
import pytest

from trigger_ml.instrument.digicam import digicam_geometry
from trigger_ml.trigger.digital_sum import build_patches, cluster_peak


@pytest.fixture(scope="module")
def patches():
    return build_patches(digicam_geometry())


def test_patches_and_clusters_are_the_cameras(patches, shared_data):
    rows = [
        line.split()[:23]
        for line in (shared_data / "digicam-geometry" / "camera_config.cfg").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    table = np.array(rows, dtype=float)
    table = table[np.argsort(table[:, 8])]
    np.testing.assert_array_equal(patches.patch_of_pixel, table[:, 11].astype(int))
    for patch, cluster in zip(table[:, 11].astype(int), table[:, 16:23].astype(int), strict=True):
        assert set(patches.cluster[patch]) == set(cluster)


def test_every_patch_has_three_pixels(patches):
    assert np.all(np.bincount(patches.patch_of_pixel) == 3)
    assert patches.cluster.shape == (432, 7)
    # neighbours are mutual
    for patch, cluster in enumerate(patches.cluster):
        assert all(patch in patches.cluster[other] for other in cluster if other >= 0)


def test_cluster_peak_is_the_clipped_sum(patches):
    waveform = np.zeros((1296, 50), np.float32)
    inner = next(p for p in range(432) if (patches.cluster[p] >= 0).all())
    for patch in patches.cluster[inner]:
        waveform[patches.patch_of_pixel == patch, 20] = 10.0
    arguments = (patches.patch_of_pixel, patches.cluster)
    assert cluster_peak(waveform, *arguments, 0, 50) == 7 * 30
    assert cluster_peak(waveform, *arguments, 21, 50) == 0
    waveform[patches.patch_of_pixel == inner, 20] = 1000.0
    assert cluster_peak(waveform, *arguments, 0, 50) == 255 + 6 * 30
    waveform[:, 20] *= -1
    assert cluster_peak(waveform, *arguments, 0, 50) == 0

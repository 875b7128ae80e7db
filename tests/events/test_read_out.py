"""One pass over the pixels gives what three steps give: the same events, counts and conditions."""

import numpy as np
import pytest

from trigger_ml.core.config import InputConfig
from trigger_ml.events.camera_input import CameraInput
from trigger_ml.events.noise import PixelNoise
from trigger_ml.events.pedestals import FileNoise
from trigger_ml.events.table import EventTable
from trigger_ml.instrument.camera import axial_grid
from trigger_ml.instrument.digicam import digicam_geometry

N = 60


@pytest.mark.parametrize("policy", ["zero", "interpolate"])
@pytest.mark.parametrize("dead", [0.0, 0.02])
@pytest.mark.parametrize("bits", [4, 12])
def test_one_pass_is_three_steps(policy: str, dead: float, bits: int) -> None:
    rng = np.random.default_rng(bits)
    geometry = digicam_geometry()
    flags = rng.random((3, 1296)) < dead
    mean, spread = (rng.uniform(0.5, 2, (3, 1296)).astype(np.float32) for _ in range(2))
    noise = PixelNoise(
        np.where(flags, np.float32(0), mean), np.where(flags, np.float32(0), spread), flags, "x"
    )
    image = rng.exponential(4, (N, 1296)).astype(np.float32)
    block = rng.integers(0, 3, N)
    # what is not finite: in a living pixel, in a dead one, in all
    image[3, 7], image[4, 8], image[5, 9] = np.nan, np.inf, -np.inf
    if dead:
        image[6, np.flatnonzero(flags[block[6]])[0]] = np.nan
    image[7] = np.nan
    table = EventTable(
        np.ones(N, int), np.arange(N), np.ones(N, int), image, None, np.zeros(N), np.zeros(N), block=block
    )
    config = InputConfig.model_validate({"bits": bits, "charge_lsb": 0.5})
    feed = CameraInput(
        config,
        policy,
        geometry,
        axial_grid(geometry),
        FileNoise(noise, None, {}, "f"),  # type: ignore[arg-type]
    )
    prepared, usable = feed.prepare(table)
    expected = prepared[usable]
    counts = feed.counts(expected)
    found, found_counts, conditions, found_usable = feed.read_out(table)
    np.testing.assert_array_equal(found_usable, usable)
    np.testing.assert_array_equal(found.event_id, expected.event_id)
    np.testing.assert_array_equal(found_counts, counts)
    assert found_counts.dtype == counts.dtype
    assert 0 < usable.sum() < N
    assert counts.max() == 2**bits - 1 or bits == 12
    for name, values in feed.conditions(expected, counts).items():
        np.testing.assert_array_equal(conditions[name], values, err_msg=name)

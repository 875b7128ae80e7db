"""The SST-1M telescope and its DigiCam as ctapipe describes them, built from the numbers of `sst1m`.

Files carry their own geometry and are read with it; this one is for what the project simulates itself, and
for files that carry none.
"""

from collections.abc import Sequence
from functools import cache

import astropy.units as u
import numpy as np
from astropy.coordinates import EarthLocation
from ctapipe.coordinates import CameraFrame
from ctapipe.instrument import (
    CameraDescription,
    CameraGeometry,
    CameraReadout,
    OpticsDescription,
    PixelShape,
    ReflectorShape,
    SizeType,
    SubarrayDescription,
    TelescopeDescription,
)

from trigger_ml.instrument import sst1m
from trigger_ml.instrument.description import Adc, Camera
from trigger_ml.instrument.patches import triplets

NAME = "DigiCam"
"""As ctapipe has it."""


def digicam_geometry() -> CameraGeometry:
    """DigiCam's 1296 hexagonal pixels, in the order of the camera's software pixel numbers.

    On a hexagonal lattice a point has three coordinates ``d1 + d2 + d3 = 0``, distances from the centre
    across the three families of pixel rows in half pitches. The camera is all lattice points with
    ``-35 <= d <= 36`` in each of the three: a hexagon whose outline repeats under rotations by 120 degrees,
    three sectors of 432 pixels. Numbers run along rows of equal x, from the largest x and y.

    Returns
    -------
    ctapipe.instrument.CameraGeometry
        In ctapipe's camera frame, metres.
    """
    d1, d2 = (axis.ravel() for axis in np.meshgrid(np.arange(-35, 37), np.arange(-35, 37), indexing="ij"))
    d3 = -d1 - d2
    inside = (d3 >= -35) & (d3 <= 36) & ((d1 - d2) % 3 == 2)
    d1, d2 = d1[inside], d2[inside]
    order = np.lexsort((-d2, 2 * d1 + d2))
    d1, d2 = d1[order], d2[order]
    n_pixels = len(d1)
    return CameraGeometry(
        name=NAME,
        pix_id=np.arange(n_pixels),
        pix_x=-(2 * d1 + d2) * sst1m.PIXEL_PITCH / (2 * np.sqrt(3)) * u.m,
        pix_y=d2 * sst1m.PIXEL_PITCH / 2 * u.m,
        pix_area=np.full(n_pixels, np.sqrt(3) / 2 * sst1m.PIXEL_WIDTH**2) * u.m**2,
        pix_type=PixelShape.HEXAGON,
        pix_rotation=30 * u.deg,
        cam_rotation=0 * u.deg,
        frame=CameraFrame(focal_length=sst1m.FOCAL_LENGTH * u.m),
    )


def pulse_shape(step: float = 0.5, length: float = 100.0) -> tuple[np.ndarray, np.ndarray]:
    """Pulse of one photo-electron, a gamma curve of unit height.

    Parameters
    ----------
    step, length : float
        Nanoseconds.

    Returns
    -------
    time, height : numpy.ndarray of float64, shape (length / step,)
    """
    time = np.arange(0.0, length, step)
    height = (time / sst1m.PULSE_PEAK) ** sst1m.PULSE_POWER * np.exp(
        sst1m.PULSE_POWER * (1 - time / sst1m.PULSE_PEAK)
    )
    return time, height


def digicam_readout() -> CameraReadout:
    """DigiCam's sampling and the pulse of one photo-electron."""
    step = 0.5
    _, height = pulse_shape(step)
    return CameraReadout(
        name=NAME,
        sampling_rate=1 / sst1m.SAMPLE * u.GHz,
        reference_pulse_shape=height[np.newaxis],
        reference_pulse_sample_width=step * u.ns,
        n_channels=1,
        n_pixels=sst1m.N_PIXELS,
        n_samples=sst1m.N_SAMPLES,
    )


def sst1m_subarray(
    telescopes: Sequence[tuple[float, float, float]] = ((0.0, 0.0, 0.0),),
) -> SubarrayDescription:
    """SST-1M telescopes with DigiCam at the given positions.

    Parameters
    ----------
    telescopes : sequence of (x, y, z)
        Metres in ctapipe's ground frame (x north, y west); telescope ids count from 1.

    Returns
    -------
    ctapipe.instrument.SubarrayDescription
        The effective focal length equals the nominal one, since no coma is simulated; the reference
        location is the Ondřejov observatory.
    """
    telescope = TelescopeDescription(
        name="1M",
        optics=OpticsDescription(
            name="1M",
            size_type=SizeType.SST,
            n_mirrors=1,
            n_mirror_tiles=18,
            equivalent_focal_length=sst1m.FOCAL_LENGTH * u.m,
            effective_focal_length=sst1m.FOCAL_LENGTH * u.m,
            mirror_area=sst1m.MIRROR_AREA * u.m**2,
            reflector_shape=ReflectorShape.DAVIES_COTTON,
        ),
        camera=CameraDescription(name=NAME, geometry=digicam_geometry(), readout=digicam_readout()),
    )
    ids = range(1, len(telescopes) + 1)
    return SubarrayDescription(
        name="SST-1M",
        tel_positions={
            i: np.asarray(position, dtype=float) * u.m for i, position in zip(ids, telescopes, strict=True)
        },
        tel_descriptions=dict.fromkeys(ids, telescope),
        reference_location=EarthLocation.from_geodetic(
            lon=14.78 * u.deg, lat=49.91 * u.deg, height=511 * u.m
        ),
    )


@cache
def digicam() -> Camera:
    """DigiCam on the SST-1M, for the registry of cameras."""
    geometry = digicam_geometry()
    return Camera(
        name=NAME,
        geometry=geometry,
        readout=digicam_readout(),
        patches=triplets(geometry),
        adc=Adc(amplitude=sst1m.AMPLITUDE, baseline=sst1m.BASELINE, maximum=sst1m.MAX_ADC),
        subarray=sst1m_subarray,
    )

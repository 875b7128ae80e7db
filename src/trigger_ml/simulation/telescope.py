"""A telescope: from a shower in the air to a triggered, calibrated image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigger_ml.instrument import sst1m
from trigger_ml.instrument.description import Camera
from trigger_ml.simulation import cherenkov, clocked, electronics, optics
from trigger_ml.simulation.atmosphere import Atmosphere
from trigger_ml.simulation.geometry import camera_axes
from trigger_ml.simulation.shower import Shower
from trigger_ml.trigger.algorithm import Algorithm, Waveform
from trigger_ml.trigger.registry import trigger

Array = NDArray[np.float64]

FEWEST = 4.0
"""Photo-electrons: with fewer an image is not looked at, whatever the trigger."""
LEVEL_WINDOWS = 4
"""Clocked windows that tell the trigger algorithm of the night sky."""
BLOCK_SKY_SAMPLES = 1 << 18
"""The same, for a block: a few dozen events."""
VIEW = math.radians(5.2)
"""Radians from the optical axis: light beyond falls outside the camera."""
SKY_SAMPLES = 1 << 20
"""Length of the recording of the night sky, renewed for every chunk of a production."""


@dataclass(frozen=True, eq=False)
class Image:
    """One telescope's event.

    Parameters
    ----------
    charge, peak_time : numpy.ndarray of float32, shape (pixels,)
        Photo-electrons; nanoseconds from the start of the window.
    true_image : numpy.ndarray of int32, shape (pixels,)
        Cherenkov photo-electrons.
    waveform : numpy.ndarray of float32, shape (pixels, samples)
        Photo-electrons per sample.
    """

    charge: NDArray[np.float32]
    peak_time: NDArray[np.float32]
    true_image: NDArray[np.int32]
    waveform: NDArray[np.float32]


class Telescope:
    """An SST-1M telescope that looks at one point of the sky.

    Parameters
    ----------
    camera : Camera
        On a telescope with the SST-1M's mirror.
    atmosphere : Atmosphere
    alt, az : float
        Pointing in radians.
    nsb_rate : float
        Night-sky photo-electrons per pixel and nanosecond.
    threshold : float
        Value of the trigger algorithm at which it triggers.
    seed : int
        Of what differs between telescopes and not between events: misalignments, pixel gains.
    algorithm : Algorithm, optional
        Of the trigger; DigiCam's digital sum if not given.
    """

    def __init__(
        self,
        camera: Camera,
        atmosphere: Atmosphere,
        alt: float,
        az: float,
        nsb_rate: float,
        threshold: float,
        seed: int,
        algorithm: Algorithm | None = None,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.optics = optics.build_optics(camera.geometry, rng)
        self.electronics = electronics.build_electronics(camera.readout, nsb_rate, rng)
        self.patches = camera.patches
        self.algorithm = algorithm or trigger()
        self.axes = camera_axes(alt, az)
        self.n_samples = int(camera.readout.n_samples)
        self._amplitude = camera.adc.amplitude
        self._nominal = self.electronics
        self._roughness = sst1m.ROUGHNESS
        self._threshold = threshold
        self._least = self._least_light(1.0, ())
        self.table = light_table(atmosphere, math.pi / 2 - alt)
        self._photons = cherenkov.empty_photons()
        self._sky = np.zeros(0, np.float32)

    def renew_sky(self, rng: np.random.Generator, n_samples: int | None = None) -> None:
        """Record the night sky anew (default ``SKY_SAMPLES``); needed before the first event."""
        parts, n = self.electronics, n_samples or SKY_SAMPLES
        self._sky = electronics.night_sky(rng, parts.pulse, parts.rate, n)

    @property
    def nominal(self) -> electronics.Electronics:
        """The camera as it was built, whatever conditions it is under."""
        return self._nominal

    def set_conditions(
        self,
        rng: np.random.Generator,
        parts: electronics.Electronics,
        roughness: float,
        threshold: float,
        gain: float,
    ) -> None:
        """Put the telescope under other conditions and record its night sky anew.

        Parameters
        ----------
        rng : numpy.random.Generator
        parts : Electronics
            The nominal ones, disturbed.
        roughness : float
            Random angle of reflection, radians.
        threshold : float
            In the algorithm's unit.
        gain : float
            Mean gain relative to the nominal.
        """
        self.electronics, self._roughness, self._threshold = parts, roughness, threshold
        self.renew_sky(rng, min(BLOCK_SKY_SAMPLES, SKY_SAMPLES))
        sky = [clocked.window(rng, parts, self._sky, self.n_samples)[0] for _ in range(LEVEL_WINDOWS)]
        self._least = self._least_light(gain, sky)

    def _least_light(self, gain: float, sky: Sequence[Waveform]) -> float:
        """Photo-electrons below which an image is not expected to trigger."""
        if self.algorithm.least_light is None:
            return FEWEST
        least = self.algorithm.least_light(self._threshold, sky, self.patches, *electronics.SEARCH)
        return max(least / (self._amplitude * gain), FEWEST)

    def pedestal(self, rng: np.random.Generator) -> clocked.Pedestal:
        """Pedestals under the present conditions."""
        return clocked.measure_pedestal(rng, self.electronics, self._sky, self.n_samples)

    def clocked(self, rng: np.random.Generator) -> Image:
        """An event that a clock triggers: the night sky alone."""
        waveform, true_image = clocked.window(rng, self.electronics, self._sky, self.n_samples)
        return self._image(waveform, true_image)

    def expectation(self, shower: Shower, position: Array, stride: int = 1) -> float:
        """Mean photo-electrons of a shower's electrons in the mirror.

        Parameters
        ----------
        shower : Shower
        position : numpy.ndarray, shape (3,)
            Of the telescope: x, y relative to the shower's core, height above sea level; metres.
        stride : int
            Use every ``stride``-th segment only.
        """
        return float(
            cherenkov.sampled_expectation(
                shower.segments,
                len(shower.segments),
                stride,
                position,
                self.axes[2],
                self.table,
                self.optics.area,
                VIEW,
            )
        )

    def photo_electrons(
        self, rng: np.random.Generator, shower: Shower, position: Array
    ) -> tuple[NDArray[np.int64], Array]:
        """Pixels and times (ns) of a shower's photo-electrons; position as in :meth:`expectation`."""
        camera, area, facets = self.axes, self.optics.area, self.optics.facets
        photons, count = cherenkov.electron_light(
            rng,
            shower.segments,
            len(shower.segments),
            position,
            camera,
            shower.axis,
            self.table,
            area,
            facets,
            sst1m.FACET_SIZE,
            VIEW,
            self._photons,
            0,
        )
        photons, count = cherenkov.track_light(
            rng,
            shower.tracks,
            len(shower.tracks),
            position,
            camera,
            shower.axis,
            self.table,
            self.optics.radius,
            photons,
            count,
        )
        self._photons = photons
        mirror = self.optics
        pixel, time, _ = optics.trace(
            rng,
            photons,
            count,
            mirror.facets,
            mirror.normals,
            mirror.focal_lengths,
            mirror.pixels,
            mirror.neighbours,
            mirror.raster,
            self._roughness,
        )
        hit = pixel >= 0
        pixel, time = pixel[hit], time[hit]
        kept = rng.random(len(pixel)) * 1.2 < self.electronics.efficiency[pixel]
        return pixel[kept], time[kept]

    def observe(self, rng: np.random.Generator, shower: Shower, position: Array) -> Image | None:
        """The telescope's image of a shower, or None if it does not trigger."""
        guess = self.expectation(shower, position, stride=16)
        if guess < 0.5 * self._least and not self._muon_near(shower, position):
            return None
        pixel, time = self.photo_electrons(rng, shower, position)
        if len(pixel) < self._least:
            return None
        return self.read(rng, pixel, time)

    def _muon_near(self, shower: Shower, position: Array) -> bool:
        """Whether a track passes so near that its light alone may trigger."""
        tracks = shower.tracks
        if len(tracks) == 0:
            return False
        dx, dy, dz = (position - tracks[:, :3]).T
        along = dx * tracks[:, 3] + dy * tracks[:, 4] + dz * tracks[:, 5]
        inside = tracks[:, 3:6] @ -self.axes[2] > math.cos(VIEW)
        return bool(np.any(inside & (along > 0) & (dx**2 + dy**2 + dz**2 - along**2 < 30.0**2)))

    def read(self, rng: np.random.Generator, pixel: NDArray[np.int64], time: Array) -> Image | None:
        """Read the camera out: photo-electrons' pixels and times to an image, or None without a trigger."""
        parts = self.electronics
        counts = np.append(np.bincount(self.patches.patch_of_pixel[pixel], minlength=len(self.patches)), 0)
        clusters = counts[self.patches.cluster].sum(axis=1)
        brightest = int(clusters.argmax())
        if clusters[brightest] < 0.9 * self._least:
            return None
        # the trigger fires close to the median time of the photo-electrons in the brightest cluster
        near = np.isin(self.patches.patch_of_pixel, self.patches.cluster[brightest])[pixel]
        start = float(np.median(time[near])) + parts.peak
        window = time - start + (sst1m.TRIGGER_SAMPLE + rng.random()) * sst1m.SAMPLE
        waveform, true_image = electronics.read_out(
            rng,
            pixel,
            window,
            self._sky,
            parts.pulse,
            parts.gain,
            parts.noise,
            parts.baseline_error,
            parts.baseline_shift,
            self.n_samples,
        )
        if not self.algorithm.decide(waveform, self.patches, self._threshold, *electronics.SEARCH).fires:
            return None
        return self._image(waveform, true_image)

    def _image(self, waveform: NDArray[np.float32], true_image: NDArray[np.int32]) -> Image:
        parts = self.electronics
        charge, peak_time = electronics.extract(waveform, parts.calibration, parts.correction)
        waveform *= parts.calibration[:, np.newaxis].astype(np.float32)
        return Image(charge, peak_time, true_image, waveform)


def light_table(atmosphere: Atmosphere, zenith: float) -> Array:
    """Photo-electrons by height for light that comes down at a zenith angle (radians)."""
    heights = np.arange(0.0, 60e3, cherenkov.TABLE_STEP)
    wavelength = np.arange(sst1m.WAVELENGTH[0], sst1m.WAVELENGTH[-1] + 1, 5.0)
    efficiency = np.interp(wavelength, sst1m.WAVELENGTH, sst1m.efficiency())
    transmission = np.exp(-atmosphere.optical_depth(heights, wavelength) / math.cos(zenith))
    # photo_electrons() draws against the pixels' efficiencies, the largest of which is below 1.2
    return cherenkov.light_table(
        heights,
        np.asarray(atmosphere.depth(heights)),
        atmosphere.refractivity(heights),
        transmission,
        wavelength,
        efficiency * 1.2,
    )

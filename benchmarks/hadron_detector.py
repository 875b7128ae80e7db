"""The 2017 telescope on stored photons: blur, light, cross talk, electronics, trigger, the file's cleaning.

A :class:`Variant` says in what a telescope differs from the nominal one; the same photons go through each, so
that a difference between two of them is the detector's and no shower's.
"""

from dataclasses import dataclass
from itertools import islice

import hadron_photons
import numpy as np
import recorded_pipeline
from numba import njit

from trigger_ml.events.image_parameters import ImageParameters
from trigger_ml.instrument import sst1m
from trigger_ml.instrument.digicam import digicam
from trigger_ml.simulation import electronics, optics
from trigger_ml.trigger import digital_sum

PEAK = 11.0
"""Sample at which the recorded pulses peak."""
SEARCH = (2, 40)
BLOCK = 100
"""Events whose waveforms are cleaned together."""


@dataclass(frozen=True)
class Variant:
    """In what a telescope differs from the nominal one.

    Parameters
    ----------
    night_sky : float
        Photo-electrons per pixel and ns.
    point_spread : float
        Blur in degrees along each axis, beside the nominal one.
    throughput : float
    amplitude : float
        Factor of the height of a photo-electron's pulse.
    neighbours : float
        Mean photo-electrons that one gives in the six pixels around it.
    ceiling : float
        ADC counts above the baseline at which a sample ends.
    threshold : float
        Of the trigger, ADC counts.
    lit : float
        Spreads of the dark that a pixel's sample must exceed, over the three of the file's pipeline.
    stray, stray_spread : float
        Part of the light that is blurred by ``stray_spread`` degrees along each axis instead.
    tail, tail_time : float
        Part of each pixel's photo-electrons that come once more, and their mean delay in ns.
    """

    night_sky: float = 0.17
    point_spread: float = 0.0
    throughput: float = 1.0
    amplitude: float = 1.0
    neighbours: float = 0.0
    ceiling: float = 1e9
    threshold: float = 270.0
    lit: float = 1.0
    stray: float = 0.0
    stray_spread: float = 0.2
    tail: float = 0.0
    tail_time: float = 30.0


@njit
def _pixels(x, y, pixels, neighbours, raster):
    found = np.empty(len(x), np.int64)
    for i in range(len(x)):
        found[i] = optics._pixel_at(x[i], y[i], pixels, neighbours, raster)
    return found


class Detector:
    """A telescope of one variant; its draws depend on ``seed`` alone."""

    def __init__(self, variant: Variant, seed: int = 5) -> None:
        camera = digicam()
        self.geometry = camera.geometry
        self.rng = np.random.default_rng(seed)
        self.variant = variant
        self.optics = optics.build_optics(self.geometry, np.random.default_rng(11))
        self.patches = camera.patches
        self.parts = electronics.build_electronics(
            camera.readout, variant.night_sky, np.random.default_rng(3)
        )
        pulse = self.parts.pulse
        self.sky = electronics.night_sky(self.rng, pulse, self.parts.rate, 1 << 20)
        nothing = np.zeros(0, np.int64), np.zeros(0)
        dark = np.array([self.waveform(*nothing) for _ in range(20)])
        self.spread = dark.std(axis=(0, 2)) * variant.lit

    def waveform(self, pixel, time):
        """Samples above the baseline, shape (pixels, 50); times in ns from the first sample."""
        parts, factor = self.parts, np.float32(self.variant.amplitude)
        found, _ = electronics.read_out(
            self.rng, pixel, time, self.sky * factor, parts.pulse * factor, parts.gain, parts.noise,
            parts.baseline_error, parts.baseline_shift * float(factor), 50,
        )  # fmt: skip
        return np.minimum(found, np.float32(self.variant.ceiling))

    def photo_electrons(self, photons):
        """Pixels and times of stored photons."""
        rng, variant, mirror = self.rng, self.variant, self.optics
        place = photons[:, :2] * hadron_photons.METRE
        time = photons[:, 2] * hadron_photons.NANOSECOND
        if variant.point_spread or variant.stray:
            blur = variant.point_spread
            if variant.stray:
                astray = rng.random((len(place), 1)) < variant.stray
                blur = np.where(astray, variant.stray_spread, blur)
            place = place + np.radians(blur) * sst1m.FOCAL_LENGTH * rng.standard_normal(place.shape)
        pixel = _pixels(place[:, 0], place[:, 1], mirror.pixels, mirror.neighbours, mirror.raster)
        # photons were drawn against efficiencies 1.2 times too high
        kept = pixel >= 0
        kept[kept] = rng.random(kept.sum()) * 1.2 < self.parts.efficiency[pixel[kept]] * variant.throughput
        pixel, time = pixel[kept], time[kept]
        again = [(pixel, time)]
        if variant.neighbours:
            copies = np.repeat(np.arange(len(pixel)), rng.poisson(variant.neighbours, len(pixel)))
            beside = mirror.neighbours[pixel[copies], rng.integers(6, size=len(copies))]
            again.append((beside[beside >= 0], time[copies][beside >= 0]))
        if variant.tail:
            copies = np.repeat(np.arange(len(pixel)), rng.poisson(variant.tail, len(pixel)))
            again.append((pixel[copies], time[copies] + rng.exponential(variant.tail_time, len(copies))))
        return tuple(np.concatenate(parts) for parts in zip(*again, strict=True))

    def event(self, photons, peak=PEAK):
        """Waveform of an event with its pulses near sample ``peak``, or None if it does not trigger."""
        pixel, time = self.photo_electrons(photons)
        if len(pixel) < 60:
            return None
        patch_of_pixel, cluster = self.patches.patch_of_pixel, self.patches.cluster
        counts = np.append(np.bincount(patch_of_pixel[pixel], minlength=len(cluster)), 0)
        near = np.isin(patch_of_pixel, cluster[counts[cluster].sum(axis=1).argmax()])[pixel]
        start = np.median(time[near]) + self.parts.peak
        found = self.waveform(pixel, time - start + (peak + self.rng.random()) * sst1m.SAMPLE)
        decision = digital_sum.decide(found, self.patches, self.variant.threshold, *SEARCH)
        return found if decision.fires else None

    def images(self, photons, least=recorded_pipeline.LEAST_SIZE):
        """Images as the file holds them and the numbers of their events."""
        found, numbers = [], []
        triggered = waveforms_of(self, photons)
        while block := list(islice(triggered, BLOCK)):
            number, waveforms = zip(*block, strict=True)
            images = recorded_pipeline.images(np.array(waveforms), self.spread, self.geometry)
            kept = images.sum(axis=1) >= least
            found.append(images[kept])
            numbers += np.array(number)[kept].tolist()
        return np.concatenate(found), np.array(numbers)


def waveforms_of(detector, photons, peak=PEAK):
    """Numbers and waveforms of the events that trigger."""
    for number, own in enumerate(photons):
        waveform = detector.event(own, peak)
        if waveform is not None:
            yield number, waveform


FEATURES = ("size", "width", "length", "skewness", "kurtosis", "pixels", "leakage", "first", "two", "five",
            "above30")  # fmt: skip
"""What the trees see; ``lit``, ``rim`` and ``r`` are measured beside them."""


def features(images, geometry):
    """Parameters of images cleaned as :mod:`recorded_pipeline` does, and which have four pixels or more.

    Charges below the lower tail cut (the added row) are left out but for ``lit``, the number of pixels with
    any charge, and ``rim``, their charge in photo-electrons.
    """
    parameters = ImageParameters(geometry)
    mask = parameters.clean(images, recorded_pipeline.PICTURE, recorded_pipeline.BOUNDARY)
    found = parameters.compute(images, mask)
    charge = np.sort(np.where(mask, images, 0), axis=1)[:, ::-1]
    size = found["hillas_intensity"]
    columns = {
        "size": size,
        "width": found["hillas_width"],
        "length": found["hillas_length"],
        "skewness": np.abs(found["hillas_skewness"]),
        "kurtosis": found["hillas_kurtosis"],
        "pixels": found["morphology_n_pixels"],
        "leakage": found["leakage_intensity_width_2"],
        "first": charge[:, 0] / size,
        "two": charge[:, :2].sum(axis=1) / size,
        "five": charge[:, :5].sum(axis=1) / size,
        "above30": (charge > 30).sum(axis=1),
        "lit": (images != 0).sum(axis=1),
        "rim": (images * ~mask).sum(axis=1),
        "r": found["hillas_r"],
    }
    return {name: np.asarray(v, float) for name, v in columns.items()}, columns["pixels"] >= 4

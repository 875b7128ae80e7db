"""What a network answers to recorded events and to simulated hadrons of the same size.

``python benchmarks/recorded_logits.py RUN PHOTONS ../shared/data`` (PHOTONS: the folder of
``hadron_photons.py``) writes ``docs/figures/recorded_logits.json`` and ``recorded-logits.png``. Two sets:

raw
    The physics events of ``sst1m-digicam-raw``, read as ``trigger-ml emulate`` reads them, and simulated
    hadrons through the whole read-out at the night sky that was fitted to that file.
images
    The cleaned images of ``digicam-real-images`` and simulated hadrons cleaned by the same steps, both with
    the same noise put back: a pixel has the larger of its charge and a charge of the night sky alone, since
    the product takes a pixel's highest peak.

Simulated events are given the recorded sizes. The Kolmogorov distance of two samples is never zero: beside it
stands what it is if the data were drawn from the simulation (its mean and 95 % limit), from as many events as
there are recorded and from showers drawn anew.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import h5py
import hadron_photons
import matplotlib as mpl
import numpy as np
from hadron_detector import Detector, Variant, waveforms_of
from hadrons import resample

mpl.use("Agg")
import matplotlib.pyplot as plt
from ctapipe.containers import EventType

from trigger_ml.core.config import InputConfig
from trigger_ml.events.image_parameters import ImageParameters
from trigger_ml.events.noise import noise_of_images
from trigger_ml.events.quantize import charge_rule, to_counts
from trigger_ml.events.sources import open_events, source_noise
from trigger_ml.events.table import EventTable
from trigger_ml.instrument import sst1m
from trigger_ml.instrument.camera import AxialGrid
from trigger_ml.pipeline.decisions import load_emulator
from trigger_ml.simulation import electronics

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
RAW = Path("sst1m-digicam-raw") / "example_SST1M_20180822.fits.fz"
NIGHT_SKY = {"raw": 0.18, "images": 0.17}
"""Photo-electrons per pixel and ns; the first from the noise section of ``simulation.json``."""
SIZES = {"raw": np.array([120, 160, 250, 500, np.inf]),
         "images": np.array([150, 170, 200, 250, 320, 400, 550, 800, 1200, 2000, 4000, np.inf])}  # fmt: skip
"""Edges within which the model is given the recorded number of events; below the first one the stored photons
are not complete, and recorded events are left out too."""
CROSS_TALK = 1 - sst1m.CROSS_TALK
"""The file's charges hold their cross talk, the product's do not."""


def table_of(images):
    """Images as the events of a file."""
    n = len(images)
    whole, real = np.arange(n), np.zeros(n)
    return EventTable(
        obs_id=np.ones(n, np.int64), event_id=whole, tel_id=np.ones(n, np.int64),
        image=np.ascontiguousarray(images, np.float32), peak_time=None, pointing_alt=real, pointing_az=real,
        block=np.zeros(n, np.int64),
    )  # fmt: skip


def logits(emulator, table, noise):
    """The network's answers; the noise tells each pixel's pedestal."""
    config = InputConfig.of_network(emulator.metadata["input"])
    grid = AxialGrid.from_dict(emulator.metadata["grid"])
    rule = charge_rule(config, noise, grid.n_pixels)
    found = [
        emulator.values(to_counts(table[k : k + 500], config, grid, rule)) for k in range(0, len(table), 500)
    ]
    return np.concatenate([f[next(iter(emulator.fractions))][:, 0] for f in found])


def dark_charges(detector, number):
    """Charges of the night sky alone, shape (number, pixels)."""
    parts, nothing = detector.parts, (np.zeros(0, np.int64), np.zeros(0))
    return np.array(
        [
            electronics.extract(detector.waveform(*nothing), parts.calibration, parts.correction)[0]
            for _ in range(number)
        ]
    )


def with_noise(rng, images, dark):
    """Cleaned images with a night sky put back; pixels of ``dark`` are drawn one by one."""
    drawn = dark[rng.integers(len(dark), size=images.shape), np.arange(images.shape[1])]
    return np.maximum(images * np.float32(CROSS_TALK), drawn)


def sizes(images, geometry):
    """Charge that the analysis' tail cuts keep."""
    parameters = ImageParameters(geometry)
    return np.where(parameters.clean(images), images, 0).sum(axis=1)


def matched(real_size, size, weight, edges):
    """Weights that give the model the recorded sizes; 0 where there are none."""
    weight = weight.astype(float).copy()
    ours, theirs = np.digitize(size, edges), np.digitize(real_size, edges)
    for b in np.unique(ours):
        inside = ours == b
        weight[inside] *= (theirs == b).sum() / weight[inside].sum()
    return weight / weight.sum()


def kolmogorov(values, weight, others, other_weight):
    """Largest difference of two weighted distribution functions."""
    joined = np.concatenate([values, others])
    order = np.argsort(joined, kind="stable")
    steps = np.concatenate([weight / weight.sum(), -other_weight / other_weight.sum()])[order]
    last = np.append(np.diff(joined[order]) > 0, True)
    return float(np.abs(np.cumsum(steps)[last]).max())


def compare(rng, real, ours, weight, shower, draws=200):
    """Kolmogorov distance and what it is for data drawn from the simulation."""
    even = np.ones(len(real))
    null = []
    for _ in range(draws):
        drawn = weight * resample(rng, shower)
        sample = rng.choice(ours, len(real), p=drawn / drawn.sum())
        null.append(kolmogorov(sample, even, ours, weight * resample(rng, shower)))
    levels = [10, 25, 50, 75, 90]
    return {
        "recorded": len(real),
        "simulated": len(ours),
        "distance": kolmogorov(real, even, ours, weight),
        "expected": float(np.mean(null)),
        "limit_95": float(np.percentile(null, 95)),
        "recorded_percentiles": np.percentile(real, levels).tolist(),
        "simulated_percentiles": [
            float(np.sort(ours)[np.searchsorted(np.cumsum(weight[np.argsort(ours)]), q / 100)])
            for q in levels
        ],
        "accepted_recorded": float((real >= 0).mean()),
        "accepted_simulated": float(weight[ours >= 0].sum()),
    }


def raw(rng, emulator, events, data, variant):
    """Logits and sizes of the raw file's physics events and of simulated ones (None: all too small)."""
    source = open_events(data / RAW)
    noise = source_noise(source)
    found, own = [], []
    for read in source:
        kept = noise.assign(read)[read.event_type == EventType.SUBARRAY.value]
        found.append(logits(emulator, kept, noise.noise))
        own.append(sizes(kept.image, source.geometry))
    real = np.concatenate(found), np.concatenate(own)
    if real[1].max() < SIZES["raw"][0]:
        return real, None
    detector = Detector(replace(variant, night_sky=NIGHT_SKY["raw"]))
    parts, images, numbers = detector.parts, [], []
    for number, waveform in waveforms_of(detector, events.photons, peak=sst1m.TRIGGER_SAMPLE):
        images.append(electronics.extract(waveform, parts.calibration, parts.correction)[0])
        numbers.append(number)
    images = np.array(images)
    # the file has 32 events and its noise is that of their images: the model's is measured in the same way
    few = rng.choice(len(images), 32, replace=False)
    simulated = logits(emulator, table_of(images), noise_of_images([images[few]], "model", judged=False))
    return real, (simulated, sizes(images, source.geometry), numbers)


def images(rng, emulator, events, data, variant):
    """The same for the cleaned images, one recorded image in five."""
    detector = Detector(replace(variant, night_sky=NIGHT_SKY["images"]))
    dark = dark_charges(detector, 400)
    noise = noise_of_images([dark], "model", judged=False)
    with h5py.File(data / "digicam-real-images" / "images.h5") as file:
        recorded = file["image"][::5].astype(np.float32)
    cleaned, numbers = detector.images(events.photons)
    both = []
    for charge in (recorded, cleaned):
        noisy = with_noise(rng, charge, dark)
        both.append((logits(emulator, table_of(noisy), noise), charge.sum(axis=1)))
    return both[0], (*both[1], numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run directory or an emulator's ONNX file")
    parser.add_argument("photons", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--shards", type=int)
    parser.add_argument("--point-spread", type=float, default=0.0, help="additional blur in degrees")
    arguments = parser.parse_args()
    emulator = load_emulator(arguments.run)
    events = hadron_photons.read(arguments.photons, arguments.shards)
    variant = Variant(point_spread=arguments.point_spread)
    result = {"point_spread": arguments.point_spread}
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for ax, (name, measure) in zip(axes, {"raw": raw, "images": images}.items(), strict=True):
        rng = np.random.default_rng(3)
        (real, real_size), simulated = measure(rng, emulator, events, arguments.data, variant)
        least = SIZES[name][0]
        if simulated is None:
            ax.set_axis_off()
            largest = real_size.max(initial=0)
            why = f"{name}: the largest of {len(real)} events\nkeeps {largest:.0f} p.e.: too few to compare"
            ax.text(0.5, 0.5, why, ha="center", va="center")
            result[name] = {"recorded": 0, "too_small": len(real), "largest_size": float(real_size.max())}
            print(name, result[name], flush=True)
            continue
        ours, size, numbers = simulated
        real, real_size = real[real_size >= least], real_size[real_size >= least]
        large, numbers = size >= least, np.asarray(numbers)
        ours, size, numbers = ours[large], size[large], numbers[large]
        weight = matched(real_size, size, events.table["weight"][numbers], SIZES[name])
        result[name] = compare(rng, real, ours, weight, events.table["shower"][numbers])
        result[name]["median_size"] = float(np.median(real_size))
        print(name, json.dumps(result[name]), flush=True)
        bins = np.linspace(*np.percentile(np.concatenate([real, ours]), [0.5, 99.5]), 30)
        ax.hist(real, bins, density=True, histtype="step", color="k", label="recorded")
        ax.hist(ours, bins, weights=weight, density=True, histtype="step", label="simulated hadrons")
        ax.set_title(f"{name}: distance {result[name]['distance']:.2f}")
        ax.set_xlabel("logit")
        ax.legend()
    figure.savefig(FIGURES / "recorded-logits.png", dpi=90)
    (FIGURES / "recorded_logits.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

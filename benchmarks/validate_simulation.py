"""Compare the fast shower model with real simulation, recorded data and published values.

``python benchmarks/validate_simulation.py DATA [--only part ...]`` prints tables, writes
``simulation-*.png`` to ``docs/figures`` and the numbers to ``docs/figures/simulation.json``. DATA holds the
folders ``sst1m-prod4-simtel``, ``digicam-real-images`` and ``sst1m-digicam-raw``.
"""

import argparse
import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt
import simulation_trigger
from ctapipe.calib import CameraCalibrator
from ctapipe.containers import DL1CameraContainer
from ctapipe.coordinates import TelescopeFrame
from ctapipe.fitting import lts_linear_regression
from ctapipe.image import hillas_parameters, number_of_islands, tailcuts_clean
from ctapipe.image.hillas import camera_to_shower_coordinates
from ctapipe.io import EventSource
from scipy.stats import ks_2samp
from traitlets.config import Config

from trigger_ml.core.config import ParticleConfig, SimulationConfig
from trigger_ml.events.image_parameters import ImageParameters
from trigger_ml.instrument.digicam import digicam, sst1m_subarray
from trigger_ml.simulation import electronics
from trigger_ml.simulation.atmosphere import atmosphere_above
from trigger_ml.simulation.cherenkov import sampled_expectation
from trigger_ml.simulation.chunks import SHOWERS_PER_CHUNK, Worker
from trigger_ml.simulation.geometry import sky_direction
from trigger_ml.simulation.interactions import load_library, read_library
from trigger_ml.simulation.shower import ShowerMaker
from trigger_ml.simulation.telescope import Telescope

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
FIELD = np.array([20.9e-6, 1.25e-6, 9.1e-6])
SITE = 2150.0
TIMING_STARTS = 100
"""Random starts of the robust fit of a time gradient: with so many every seed finds the same."""
SIMTEL = "gamma_20deg_0deg_run102___cta-prod4-sst-1m_desert-2150m-Paranal-sst-1m.simtel.zst"


def light_density(rng, showers=30):
    """Photo-electrons per m2 against core distance, gammas at 20 degrees from the zenith."""
    maker = ShowerMaker(atmosphere_above(SITE, "subtropical"), FIELD, 1e-3)
    telescope = Telescope(
        digicam(), atmosphere_above(SITE, "subtropical"), math.radians(70), 0.0, 0.04, 270, 1
    )
    distances = np.concatenate([np.arange(5, 200, 10), np.arange(210, 500, 30)])
    axis = -sky_direction(math.radians(70), 0.0)
    # across the axis the impact distance is the distance on the ground
    across = np.array([0.0, 1.0, 0.0])
    result, figure = {"distance_m": distances.tolist()}, plt.figure(figsize=(6, 4))
    totals, emitted = {}, {}
    for energy in (0.3, 1.0, 3.0, 10.0):
        light = np.zeros((showers, len(distances)))
        emission = []
        for i in range(showers if energy < 5 else showers // 2):
            shower = maker.make(rng, "gamma", energy, axis)
            # path length times sin^2 of the Cherenkov angle: photons emitted, wherever they go
            emission.append(shower.segments[:, 8].sum(dtype=float))
            for j, distance in enumerate(distances):
                for side in (-1, 1):
                    light[i, j] += (
                        0.5
                        * sampled_expectation(
                            shower.segments,
                            len(shower.segments),
                            1,
                            side * distance * across + [0, 0, SITE],
                            telescope.axes[2],
                            telescope.table / 1.2,
                            telescope.optics.area,
                            3.0,
                        )
                        / telescope.optics.area
                    )
        light = light[light.sum(axis=1) > 0]
        mean = light.mean(axis=0)
        result[f"{energy} TeV"] = mean.tolist()
        # light in the pool: integral of the density over the ground to 500 m
        emitted[energy] = float(np.mean(emission))
        totals[energy] = float(np.trapezoid(mean * 2 * np.pi * distances, distances))
        plt.plot(distances, mean / energy, label=f"{energy:g} TeV")
    per_energy = {str(e): t / e / totals[1.0] for e, t in totals.items()}
    result["light_per_energy_over_1TeV"] = per_energy
    result["emitted_per_energy_over_1TeV"] = {str(e): t / e / emitted[1.0] for e, t in emitted.items()}
    print("emitted per energy relative to 1 TeV:", result["emitted_per_energy_over_1TeV"])
    plt.axvline(120, color="grey", ls=":", lw=1)
    plt.yscale("log")
    plt.xlabel("core distance / m")
    plt.ylabel("photo-electrons / m$^2$ / TeV")
    plt.legend()
    figure.savefig(FIGURES / "simulation-light-density.png", dpi=110, bbox_inches="tight")
    print("light per energy relative to 1 TeV:", per_energy)
    for energy in ("1.0 TeV", "10.0 TeV"):
        print(
            energy,
            "p.e./m2:",
            dict(zip(distances.tolist(), np.round(result[energy], 2).tolist(), strict=True)),
        )
    return result


@dataclass
class Measured:
    """Image parameters of one telescope event."""

    distance: float
    size: float
    length: float
    width: float
    source: float
    gradient: float


QUANTITIES = {
    "size": "size / photo-electrons",
    "length": "length / degrees",
    "width": "width / degrees",
    "source": "distance to the source / degrees",
    "gradient": "time gradient, outwards / ns per degree",
}


def measure(geometry, charge, peak_time, source, distance, picture=6.0, boundary=3.5):
    """Hillas and timing parameters of the cleaned image in degrees, or None."""
    mask = tailcuts_clean(
        geometry, charge, picture_thresh=picture, boundary_thresh=boundary, min_number_picture_neighbors=2
    )
    if mask.sum() < 5:
        return None
    cleaned = np.where(mask, charge, 0.0)
    hillas = hillas_parameters(geometry, cleaned)
    centre = np.array([hillas.fov_lon.to_value("deg"), hillas.fov_lat.to_value("deg")])
    psi = hillas.psi.to_value("rad")
    along, _ = camera_to_shower_coordinates(
        geometry.pix_x.to_value("deg")[mask], geometry.pix_y.to_value("deg")[mask], *centre, psi
    )
    # timing_parameters would draw its five starts from a generator that the whole process shares: too few
    # to find the best fit always, and another fit whenever something else has drawn from it
    slope = lts_linear_regression(
        along, peak_time[mask].astype(float), samples=TIMING_STARTS, rng=np.random.default_rng(0)
    )[0][0]
    away = centre - source
    # the axis has no direction of its own: outwards from the source is positive
    sign = np.sign(away @ [math.cos(psi), math.sin(psi)])
    return Measured(
        distance,
        hillas.intensity,
        hillas.length.to_value("deg"),
        hillas.width.to_value("deg"),
        math.hypot(*away),
        sign * slope,
    )


def prod4_events(data):
    """Triggered telescopes of the sim_telarray file: truth, position and measured parameters."""
    calibration = Config(
        {
            "CameraCalibrator": {"image_extractor_type": "LocalPeakWindowSum"},
            "LocalPeakWindowSum": {"window_width": 7, "window_shift": 3},
        }
    )
    events = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = data / "sst1m-prod4-simtel" / SIMTEL
        with EventSource(path, focal_length_choice="EQUIVALENT") as source:
            subarray = source.subarray
            calibrate = CameraCalibrator(subarray=subarray, config=calibration)
            geometry = subarray.tel[1].camera.geometry.transform_to(TelescopeFrame())
            for event in source:
                calibrate(event)
                shower = event.simulation.shower
                axis = sky_direction(shower.alt.to_value("rad"), shower.az.to_value("rad"))
                for tel_id in event.trigger.tels_with_trigger:
                    tel = int(tel_id)
                    dl1: DL1CameraContainer = event.dl1.tel[tel]
                    core = np.array([shower.core_x.to_value("m"), shower.core_y.to_value("m"), 0.0])
                    offset = subarray.positions[tel].to_value("m") - core
                    distance = float(np.linalg.norm(np.cross(offset, axis)))
                    events.append(
                        {
                            "shower": int(event.index.event_id) // 100,
                            "energy": shower.energy.to_value("TeV"),
                            "axis": -axis,
                            "offset": offset,
                            "true_size": int(event.simulation.tel[tel].true_image.sum()),
                            "distance": distance,
                            "measured": measure(geometry, dl1.image, dl1.peak_time, (0.0, 0.0), distance),
                        }
                    )
    return events


def prod4(data, rng, repeats=40):
    """Medians of image parameters by core distance, fast model over sim_telarray, same energies and
    positions. The reference has one shower of each; ``repeats`` of ours make its fluctuations the only
    ones that count.
    """
    events = prod4_events(data)
    camera = digicam()
    maker = ShowerMaker(atmosphere_above(SITE, "subtropical"), FIELD, 1e-3)
    telescope = Telescope(
        camera, atmosphere_above(SITE, "subtropical"), math.radians(70), 0.0, 0.0407, 0.0, 1
    )
    telescope.renew_sky(rng)
    geometry = camera.geometry.transform_to(TelescopeFrame())
    pairs = []
    for number in sorted({e["shower"] for e in events}):
        group = [e for e in events if e["shower"] == number]
        ours = {id(e): ([], []) for e in group}
        for _ in range(repeats):
            shower = maker.make(rng, "gamma", group[0]["energy"], group[0]["axis"])
            for event in group:
                position = event["offset"] + np.array([0, 0, SITE])
                pixel, time = telescope.photo_electrons(rng, shower, position)
                ours[id(event)][0].append(len(pixel))
                image = telescope.read(rng, pixel, time) if len(pixel) > 30 else None
                if image is not None:
                    found = measure(geometry, image.charge, image.peak_time, (0.0, 0.0), event["distance"])
                    if found:
                        ours[id(event)][1].append(found)
        for event in group:
            counts, found = ours[id(event)]
            if event["measured"] is not None and len(found) >= repeats / 2:
                pairs.append((event, float(np.median(counts)), found))
    edges = [0, 100, 150, 200, 260, 450]
    bin_of = np.digitize([p[0]["distance"] for p in pairs], edges) - 1
    shower = np.unique([p[0]["shower"] for p in pairs], return_inverse=True)[1]
    figure, axes = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")
    result = {"telescopes": len(pairs), "showers": int(shower.max()) + 1, "bins_m": edges, "quantities": {}}
    result["counts"] = np.bincount(bin_of, minlength=len(edges) - 1).tolist()
    centres = 0.5 * (np.array(edges[1:]) + np.array(edges[:-1]))
    for quantity, ax in zip((*QUANTITIES, "true_size"), axes.ravel(), strict=True):
        if quantity == "true_size":
            theirs = np.array([p[0]["true_size"] for p in pairs], dtype=float)
            mine = np.array([p[1] for p in pairs])
        else:
            theirs = np.array([getattr(p[0]["measured"], quantity) for p in pairs])
            mine = np.array([np.median([getattr(f, quantity) for f in p[2]]) for p in pairs])
        rows = [medians(rng, theirs[bin_of == b], mine[bin_of == b], shower[bin_of == b])
                for b in range(len(centres))]  # fmt: skip
        result["quantities"][quantity] = {
            key: np.round([row[key] for row in rows], 3).tolist() for key in rows[0]
        }
        table = result["quantities"][quantity]
        low, high = np.array(table["theirs_68"]).T
        reference = np.array(table["theirs"])
        ax.errorbar(centres, reference, [reference - low, high - reference], fmt="ks", capsize=3,
                    label="sim_telarray prod4, 68 %")  # fmt: skip
        ax.plot(centres, table["ours"], "o-", label="fast model")
        ax.set_title(QUANTITIES.get(quantity, "true photo-electrons"))
        ax.set_xlabel("core distance / m")
        ax.set_ylim(bottom=min(0.0, 1.2 * low.min()))
        print(f"{quantity:10s} ours/prod4 {table['ratio']}  68 % {table['ratio_68']}  n {result['counts']}")
    axes[0, 0].legend()
    figure.savefig(FIGURES / "simulation-prod4.png", dpi=100)
    return result


def medians(rng, theirs, mine, shower, resamples=500):
    """Medians of a bin and their ratio, with what redrawing the reference's few showers makes of them."""
    groups = [np.flatnonzero(shower == s) for s in np.unique(shower)]
    drawn = [np.concatenate([groups[g] for g in rng.integers(len(groups), size=len(groups))])
             for _ in range(resamples)]  # fmt: skip
    reference = np.array([np.median(theirs[d]) for d in drawn])
    ratio = np.array([np.median(mine[d]) for d in drawn]) / reference
    return {
        "theirs": np.median(theirs),
        "theirs_68": np.percentile(reference, [16, 84]),
        "ours": np.median(mine),
        "ratio": np.median(mine) / np.median(theirs),
        "ratio_68": np.percentile(ratio, [16, 84]),
        "difference": np.median(mine) - np.median(theirs),
    }


def island_parameters(images, geometry, picture=15.0, boundary=10.0):
    """Size, width, length, islands (of the first 600) and pixels of cleaned images."""
    images = images.astype(np.float32)
    parameters = ImageParameters(geometry)
    mask = parameters.clean(images, picture, boundary)
    found = parameters.compute(images, mask)
    kept = np.flatnonzero(found["morphology_n_pixels"] >= 4)
    islands = np.full(len(images), np.nan)
    for i in kept[:600]:
        islands[i] = number_of_islands(geometry, mask[i])[0]
    names = ("hillas_intensity", "hillas_width", "hillas_length")
    columns = [found[name] for name in names] + [islands, found["morphology_n_pixels"]]
    return np.column_stack(columns)[kept]


def real_images(data, rng):
    """Simulated protons and gammas beside real images, which are hadronic nearly all."""
    import h5py

    with h5py.File(data / "digicam-real-images" / "images.h5") as file:
        # the same events every time, one in ten
        real = file["image"][::10].astype(float)
    library = load_library()
    config = SimulationConfig(
        particles={
            "proton": ParticleConfig(
                events=1,
                energy_min=0.6,
                energy_max=200,
                view_cone=7.0,
                spectral_index=-2.7,
                max_core_distance=400,
            ),
            "helium": ParticleConfig(
                events=1,
                energy_min=1.0,
                energy_max=400,
                view_cone=7.0,
                spectral_index=-2.65,
                max_core_distance=400,
            ),
            "gamma": ParticleConfig(
                events=1,
                energy_min=0.6,
                energy_max=100,
                view_cone=0,
                spectral_index=-2.6,
                max_core_distance=400,
            ),
        },
        zenith=35.0,
        altitude=230.0,
        atmosphere="us-standard",
        nsb_rate=0.17,
        trigger_threshold=300,
        source_offset=0.5,
        magnetic_field=(20.0, 0.0, -44.0),
    )
    worker = Worker(config, 11, library)
    geometry = sst1m_subarray().tel[1].camera.geometry
    tables = {"real": island_parameters(real, geometry)}
    for name, chunks in (("proton", 5), ("helium", 2), ("gamma", 3)):
        images = []
        for index in range(chunks):
            chunk = worker.chunk(name, index)
            if len(chunk.shower):
                images.append(chunk.columns["image"])
        tables[name] = island_parameters(np.concatenate(images), geometry)
    # all hadrons: a third of the showers of the same energy per particle are helium at these energies
    tables["hadron"] = np.concatenate([tables["proton"], tables["helium"][: len(tables["proton"]) // 3]])
    least = np.percentile(tables["real"][:, 0], 2)
    result = {"least_size": float(least), "counts": {}, "distance": {}}
    names = ("size", "width", "length", "islands", "pixels")
    figure, axes = plt.subplots(1, 5, figsize=(19, 3.5))
    for column, (name, ax) in enumerate(zip(names, axes, strict=True)):
        samples = {
            key: table[(table[:, 0] >= least) & np.isfinite(table[:, column]), column]
            for key, table in tables.items()
            if key in ("real", "hadron", "gamma")
        }
        high = np.percentile(samples["real"], 99)
        bins = np.arange(0.5, 8) if name == "islands" else np.linspace(0, high, 30)
        if name == "size":
            bins = np.geomspace(least, 8000, 25)
            ax.set_xscale("log")
        for key, style in (("real", "k"), ("hadron", "C0"), ("gamma", "C3")):
            ax.hist(samples[key], bins, density=True, histtype="step", color=style, label=key)
        result["distance"][name] = {
            key: {
                "ks": float(ks_2samp(samples["real"], samples[key]).statistic),
                "median_ratio": float(np.median(samples[key]) / np.median(samples["real"])),
                "mean_ratio": float(np.mean(samples[key]) / np.mean(samples["real"])),
            }
            for key in ("hadron", "gamma")
        }
        ax.set_xlabel(name)
        print(name, json.dumps(result["distance"][name]))
    result["counts"] = {k: int((t[:, 0] >= least).sum()) for k, t in tables.items()}
    print(result["counts"], "least size", least)
    axes[0].legend()
    figure.savefig(FIGURES / "simulation-real-images.png", dpi=100, bbox_inches="tight")
    return result


def noise(data, rng):
    """Pedestal spread and autocorrelation against clocked events; the one free number is the night-sky
    rate.
    """
    from protozfits import File

    traces = []
    with File(str(data / "sst1m-digicam-raw" / "example_SST1M_20180822.fits.fz")) as file:
        for event in file.Events:
            if event.event_type == 8:
                traces.append(event.hiGain.waveforms.samples.reshape(1296, -1).astype(float))
    real = np.array(traces)
    readout = sst1m_subarray().tel[1].camera.readout

    def simulated(rate):
        parts = electronics.build_electronics(readout, rate, np.random.default_rng(3))
        sky = electronics.night_sky(rng, parts.pulse, parts.rate, 1 << 19)
        none = np.zeros(0, np.int64)
        return np.array(
            [
                electronics.read_out(
                    rng,
                    none,
                    np.zeros(0),
                    sky,
                    parts.pulse,
                    parts.gain,
                    parts.noise,
                    parts.baseline_error,
                    parts.baseline_shift,
                    50,
                )[0]
                for _ in range(8)
            ]
        )

    def statistics(waveforms):
        centred = waveforms - waveforms.mean(axis=2, keepdims=True)
        lags = np.array([(centred[:, :, : 50 - k] * centred[:, :, k:]).mean() for k in range(12)])
        return waveforms.std(axis=2), lags[0], lags / lags[0]

    spread, variance, correlation = statistics(real)
    # the variance is linear in the rate: two points give the line
    low, high = (statistics(simulated(rate))[1] for rate in (0.05, 0.35))
    rate = float(0.05 + 0.30 * (variance - low) / (high - low))
    ours = simulated(rate)
    our_spread, our_variance, our_correlation = statistics(ours)
    result = {
        "fitted_rate_per_ns": rate,
        "variance_adc2": [variance, our_variance],
        "mean_adc_above_baseline": float(ours.mean()),
        "pixel_sigma_percentiles_16_50_84": [
            np.percentile(s, [16, 50, 84]).round(2).tolist() for s in (spread, our_spread)
        ],
        "autocorrelation_real": correlation.round(3).tolist(),
        "autocorrelation_model": our_correlation.round(3).tolist(),
        "largest_difference": float(np.abs(correlation - our_correlation).max()),
    }
    figure, ax = plt.subplots(figsize=(5, 3.5))
    ax.plot(correlation, "ks", label="clocked events, DigiCam")
    ax.plot(our_correlation, "o-", label=f"model, {rate:.2f} p.e. / ns")
    ax.set_xlabel("lag / samples of 4 ns")
    ax.set_ylabel("autocorrelation")
    ax.legend()
    figure.savefig(FIGURES / "simulation-noise.png", dpi=110, bbox_inches="tight")
    print(json.dumps(result, default=float))
    return result


# Reference depths of maximum, g/cm2. Gammas: cascade theory, X0 (ln(E / Ec) + 0.5), Ec = 86 MeV (Rossi; PDG
# review). Protons: Sibyll 2.3d, about 690 at 1e17 eV with 58 in a decade (Riehn et al., Phys. Rev. D 102
# (2020) 063002), continued down to 100 TeV; lower energies have no published line to compare with.
def _published(particle, energy):
    if particle == "gamma":
        return 36.62 * (math.log(energy * 1e6 / 86.0) + 0.5)
    return 690.0 + 58.0 * (math.log10(energy) - 5.0) if energy >= 100 else math.nan


def elongation(rng, showers=120):
    """Depth of maximum by energy."""
    library = read_library(load_library())
    maker = ShowerMaker(atmosphere_above(0.0), FIELD, 4e-3, library)
    axis = -sky_direction(math.radians(45), 0.0)
    result, figure = {}, plt.figure(figsize=(5.5, 4))
    for particle, colour in (("gamma", "C3"), ("proton", "C0")):
        rows = []
        for energy in (0.5, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0):
            count = showers if energy < 90 or particle == "proton" else showers // 5
            depths = np.array([maker.make(rng, particle, energy, axis).x_max for _ in range(count)])
            rows.append(
                (
                    energy,
                    depths.mean(),
                    depths.std(),
                    depths.std() / math.sqrt(count),
                    _published(particle, energy),
                )
            )
        table = np.array(rows)
        slope = np.polyfit(np.log10(table[:, 0]), table[:, 1], 1)[0]
        result[particle] = {
            "rows": [[v if math.isfinite(v) else None for v in row] for row in table.round(1)],
            "elongation_rate_per_decade": float(slope),
        }
        plt.errorbar(table[:, 0], table[:, 1], table[:, 3], fmt="o", color=colour, label=particle)
        plt.plot(table[:, 0], table[:, 4], "--", color=colour)
        print(particle, "E, mean, spread, error, published", table.round(1).tolist(), "slope", slope)
    plt.xscale("log")
    plt.xlabel("energy / TeV")
    plt.ylabel("depth of maximum / g cm$^{-2}$")
    plt.legend()
    figure.savefig(FIGURES / "simulation-xmax.png", dpi=110, bbox_inches="tight")
    return result


def gallery(rng):
    """Images of each class."""
    from ctapipe.visualization import CameraDisplay

    particles = {
        "gamma": ParticleConfig(events=1, energy_min=3, energy_max=30, max_core_distance=250),
        "proton": ParticleConfig(events=1, energy_min=8, energy_max=80, view_cone=3.0, max_core_distance=250),
        "electron": ParticleConfig(
            events=1, energy_min=3, energy_max=30, view_cone=3.0, max_core_distance=250
        ),
    }
    SHOWERS_PER_CHUNK.update(dict.fromkeys(particles, 10))
    worker = Worker(
        SimulationConfig(particles=particles, nsb_rate=0.1), int(rng.integers(1000)), load_library()
    )
    geometry = sst1m_subarray().tel[1].camera.geometry
    figure, axes = plt.subplots(3, 6, figsize=(24, 12))
    for row, name in zip(axes, particles, strict=True):
        columns = worker.chunk(name, 0).columns
        chosen = np.unique(columns["energy"], return_index=True)[1][:6]
        for ax, i in zip(row, chosen, strict=True):
            display = CameraDisplay(geometry, columns["image"][i], ax=ax, show_frame=False)
            display.cmap = "viridis"
            display.set_limits_minmax(0, np.percentile(columns["image"][i], 99.8))
            ax.set_title(f"{name} {columns['energy'][i]:.1f} TeV")
            ax.set_axis_off()
    figure.savefig(FIGURES / "simulation-images.png", dpi=45, bbox_inches="tight")
    return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--only", nargs="*", default=["light", "prod4", "trigger", "noise", "xmax", "real", "gallery"]
    )
    arguments = parser.parse_args()
    FIGURES.mkdir(parents=True, exist_ok=True)
    parts = {
        "light": light_density,
        "prod4": lambda rng: prod4(arguments.data, rng),
        "trigger": lambda rng: simulation_trigger.trigger_efficiency(
            arguments.data / "sst1m-prod4-simtel" / SIMTEL, FIGURES, rng
        ),
        "noise": lambda rng: noise(arguments.data, rng),
        "xmax": elongation,
        "real": lambda rng: real_images(arguments.data, rng),
        "gallery": gallery,
    }
    path = FIGURES / "simulation.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in arguments.only:
        print(f"== {name}")
        results[name] = parts[name](np.random.default_rng(7))
        path.write_text(json.dumps(results, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()

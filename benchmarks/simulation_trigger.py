"""Triggers of the fast model against sim_telarray's, for the same photo-electrons and for the same showers.

Part of ``validate_simulation.py`` (``--only trigger``). The production "prod4" triggers on another sum than
the hardware: each pixel's samples are shaped by the kernel (1, 1, -1, -1) before three pixels make a patch,
a patch is clipped to [0, 255], and a cluster of seven patches must reach 74 (all from the configuration that
the file holds). One number is not there, the scale of the kernel: "188/256", with the note that it makes up
for a factor of two. Half of it is used; that the recorded waveforms then first cross the threshold at the
sample where the file says that the trigger is, and nearly none fails to, is checked.
"""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp
from ctapipe.io import EventSource
from eventio import EventIOFile
from eventio.iact.objects import TelescopeData
from eventio.simtel.objects import MCEvent, MCShower

from trigger_ml.instrument import sst1m
from trigger_ml.instrument.digicam import digicam
from trigger_ml.simulation import electronics
from trigger_ml.simulation.atmosphere import atmosphere_above
from trigger_ml.simulation.geometry import sky_direction
from trigger_ml.simulation.shower import ShowerMaker
from trigger_ml.simulation.telescope import Telescope
from trigger_ml.trigger.digital_sum import PATCH_MAX

THRESHOLD = 74
SCALE = 188 / 512
PEDESTAL = 285
SITE = 2150.0
HARDWARE_THRESHOLD = 270.0
NSB_RATE = 0.0407
LEAST_LIGHT = 12
"""Photo-electrons: with fewer no telescope of the file has triggered."""
# sim_telarray's amplitude is that of the mean photo-electron, cross talk included; ours of one cell
AMPLITUDE = np.float32(1 - sst1m.CROSS_TALK)


@dataclass(frozen=True, eq=False)
class Prod4:
    """What the comparison needs of the sim_telarray file.

    Parameters
    ----------
    waveforms : dict of (event, telescope) to numpy.ndarray, shape (pixels, samples)
        Of the telescopes that triggered, ADC counts.
    light : dict of (event, telescope) to (pixel, time)
        Pixels and times (ns) of the Cherenkov photo-electrons of every telescope with 8 or more, triggered
        or not.
    cores : dict of event to numpy.ndarray, shape (2,)
        Of all events, kept or not, metres.
    showers : dict of int to dict
        Energy (TeV), altitude and azimuth (radians) of all showers; event // 100 is the shower.
    positions : numpy.ndarray, shape (telescopes, 3)
        Metres.
    """

    waveforms: dict
    light: dict
    cores: dict
    showers: dict
    positions: np.ndarray


def read_prod4(path: Path) -> Prod4:
    """Read waveforms, photo-electrons and truth."""
    light, cores, showers, waveforms = {}, {}, {}, {}
    event = 0
    with EventIOFile(str(path)) as file:
        for item in file:
            if isinstance(item, MCShower):
                values = item.parse()
                showers[values["shower"]] = values
            elif isinstance(item, MCEvent):
                values = item.parse()
                event = values["event_id"]
                cores[event] = np.array([values["xcore"], values["ycore"]])
            elif isinstance(item, TelescopeData):
                for part in item:
                    values = part.parse()
                    # telescopes count from 0 here
                    light[event, part.telescope_id + 1] = (
                        values["pixel_id"].astype(np.int64),
                        values["time"].astype(float),
                    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with EventSource(path, focal_length_choice="EQUIVALENT") as source:
            positions = np.array([source.subarray.positions[t].to_value("m") for t in source.subarray.tel])
            for recorded in source:
                for tel_id in recorded.trigger.tels_with_trigger:
                    key = int(recorded.index.event_id), int(tel_id)
                    waveforms[key] = recorded.r0.tel[tel_id].waveform[0].astype(float)
    return Prod4(waveforms, light, cores, showers, positions)


class Sums:
    """Cluster sums of whole waveforms, as prod4 and as the hardware defines them."""

    def __init__(self) -> None:
        patches = digicam().patches
        n, n_pixels = len(patches.cluster), len(patches.patch_of_pixel)
        self._patch = sp.csr_matrix(
            (np.ones(n_pixels), (patches.patch_of_pixel, np.arange(n_pixels))), (n, n_pixels)
        )
        members = patches.cluster.ravel()
        row = np.repeat(np.arange(n), patches.cluster.shape[1])[members >= 0]
        self._cluster = sp.csr_matrix((np.ones(len(row)), (row, members[members >= 0])), (n, n))
        self.patches = patches

    def hardware(self, waveform: np.ndarray) -> np.ndarray:
        """Highest cluster sum at each sample, shape (samples,); the waveform above its baseline."""
        return (self._cluster @ np.clip(np.floor(self._patch @ waveform), 0, PATCH_MAX)).max(axis=0)

    def prod4(self, waveform: np.ndarray) -> np.ndarray:
        """The same of the shaped samples; three samples shorter."""
        patch = self._patch @ waveform
        shaped = patch[:, 3:] + patch[:, 2:-1] - patch[:, 1:-2] - patch[:, :-3]
        return (self._cluster @ np.clip(np.floor(SCALE * shaped), 0, PATCH_MAX)).max(axis=0)

    def brightest(self, pixel: np.ndarray) -> tuple[int, np.ndarray]:
        """Photo-electrons in the cluster that has most, and which of them lie in it."""
        counts = np.append(np.bincount(self.patches.patch_of_pixel[pixel], minlength=self._patch.shape[0]), 0)
        clusters = counts[self.patches.cluster].sum(axis=1)
        inside = np.isin(self.patches.patch_of_pixel, self.patches.cluster[clusters.argmax()])
        return int(clusters.max()), inside[pixel]


def decisions(rng, telescope, sums, pixel, time, repeats=1):
    """How often photo-electrons trigger: by prod4's sum, by the hardware's, by the product's own read-out."""
    parts = telescope.electronics
    _, near = sums.brightest(pixel)
    start = float(np.median(time[near])) + parts.peak
    found = np.zeros(3)
    for _ in range(repeats):
        window = time - start + (sst1m.TRIGGER_SAMPLE + rng.random()) * sst1m.SAMPLE
        waveform = electronics.read_out(
            rng, pixel, window, telescope._sky * AMPLITUDE, parts.pulse * AMPLITUDE, parts.gain, parts.noise,
            parts.baseline_error, parts.baseline_shift * float(AMPLITUDE), 50,
        )[0]  # fmt: skip
        found[0] += sums.prod4(waveform).max() >= THRESHOLD
        found[1] += sums.hardware(waveform)[slice(*electronics.SEARCH)].max() >= HARDWARE_THRESHOLD
        found[2] += telescope.read(rng, pixel, time) is not None
    return found / repeats


def own_showers(rng, file, telescope, sums, repeats, numbers=None):
    """Telescopes in events of two and more, for showers of ours at the file's energies and positions.

    Returns
    -------
    dict of int to list of int
        Triggered telescopes in all uses of a shower, one number for each of ``repeats`` showers.
    """
    maker = ShowerMaker(atmosphere_above(SITE, "subtropical"), np.array([20.9e-6, 1.25e-6, 9.1e-6]), 1e-3)
    result = {}
    for number in sorted(file.showers) if numbers is None else numbers:
        truth = file.showers[number]
        towards = sky_direction(truth["altitude"], truth["azimuth"])
        events = [core for event, core in file.cores.items() if event // 100 == number]
        result[number] = []
        for _ in range(repeats):
            shower = maker.make(rng, "gamma", truth["energy"], -towards)
            kept = 0
            for core in events:
                offset = file.positions - [*core, 0.0]
                near = np.linalg.norm(np.cross(offset, towards), axis=1) < 500
                fired = 0
                for position in offset[near] + [0.0, 0.0, SITE]:
                    if telescope.expectation(shower, position, 16) < LEAST_LIGHT:
                        continue
                    pixel, time = telescope.photo_electrons(rng, shower, position)
                    if len(pixel) and sums.brightest(pixel)[0] >= LEAST_LIGHT:
                        fired += decisions(rng, telescope, sums, pixel, time)[0]
                # the file holds what at least two telescopes saw
                kept += fired if fired >= 2 else 0
            result[number].append(int(kept))
    return result


def trigger_efficiency(path: Path, figures: Path, rng, repeats=4, trials=6):
    """The comparison: numbers for ``simulation.json`` and ``simulation-trigger.png``."""
    file, sums = read_prod4(path), Sums()
    telescope = Telescope(
        digicam(), atmosphere_above(SITE, "subtropical"), math.radians(70), 0.0, NSB_RATE,
        HARDWARE_THRESHOLD, 5,
    )  # fmt: skip
    telescope.renew_sky(rng)
    recorded = np.array([sums.prod4(w - PEDESTAL) for w in file.waveforms.values()])
    reached = recorded.max(axis=1) >= THRESHOLD
    first = 3 + (recorded >= THRESHOLD).argmax(axis=1)[reached]
    kept = {event for event, _ in file.waveforms}
    rows = []
    for (event, tel), (pixel, time) in file.light.items():
        if event in kept:
            fired = decisions(rng, telescope, sums, pixel, time, trials)
            rows.append((event // 100, (event, tel) in file.waveforms, sums.brightest(pixel)[0], *fired))
    table = np.array(rows, dtype=float)
    result = {
        "recorded_waveforms": {
            "telescopes": len(recorded),
            "reach_threshold": int(reached.sum()),
            "lowest": float(recorded.max(axis=1).min()),
            "first_crossing_sample": np.bincount(first, minlength=50).tolist(),
        },
        "same_photo_electrons": {
            "images": len(table),
            "sim_telarray": int(table[:, 1].sum()),
            "ours_prod4_trigger": float(table[:, 3].sum()),
            "agree": float(((table[:, 3] >= 0.5) == (table[:, 1] > 0)).mean()),
            "hardware_trigger": float(table[:, 4].sum()),
            "product_read_out": float(table[:, 5].sum()),
        },
    }  # fmt: skip
    print(result)
    ours = own_showers(rng, file, telescope, sums, repeats) if repeats else {}
    theirs = {n: sum(event // 100 == n for event, _ in file.waveforms) for n in file.showers}
    if ours:
        total = np.sum(list(ours.values()), axis=0)
        result["same_showers"] = {
            "by_shower": {
                str(n): {"energy": file.showers[n]["energy"], "theirs": theirs[n], "ours": ours[n]}
                for n in ours
            },
            "theirs": sum(theirs.values()),
            "ours_mean": float(total.mean()),
            "ours_spread": float(total.std(ddof=1)) if repeats > 1 else None,
        }
        print(result["same_showers"])
    draw(table, file, theirs, ours, figures / "simulation-trigger.png")
    return result


def draw(table, file, theirs, ours, path):
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    edges = np.array([0, 15, 20, 25, 30, 40, 50, 65, 90, 200])
    bin_of = np.digitize(table[:, 2], edges) - 1
    full = [b for b in range(len(edges) - 1) if (bin_of == b).any()]
    centre = 0.5 * (edges[1:] + edges[:-1])[full]
    for column, style, label in (
        (1, "ks", "sim_telarray"),
        (3, "o-", "model, prod4's trigger"),
        (4, "^--", "model, hardware's trigger"),
    ):
        axes[0].plot(centre, [table[bin_of == b, column].mean() for b in full], style, label=label)
    axes[0].set_xlabel("true photo-electrons in the brightest cluster")
    axes[0].set_ylabel("part of the telescopes that trigger")
    axes[0].legend()
    order = sorted(ours or theirs, key=lambda n: file.showers[n]["energy"])
    axes[1].plot([theirs[n] for n in order], "ks", label="sim_telarray")
    if ours:
        low, middle, high = np.array([np.percentile(ours[n], [16, 50, 84]) for n in order]).T
        axes[1].errorbar(np.arange(len(order)), middle, [middle - low, high - middle], fmt="o", capsize=3,
                         label="model, prod4's trigger, 68 %")  # fmt: skip
    axes[1].set_xticks(
        np.arange(len(order)), [f"{file.showers[n]['energy']:.1f}" for n in order], rotation=90
    )
    axes[1].set_xlabel("energy of the shower / TeV")
    axes[1].set_ylabel("triggered telescopes in ten uses")
    axes[1].legend()
    figure.savefig(path, dpi=100)

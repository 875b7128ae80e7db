"""Would the network keep a gamma that arrived under the recorded sky? Simulated light in recorded windows.

``python benchmarks/planted_gammas.py RUN ../shared/data`` writes ``docs/figures/planted_gammas.json``.

The events of ``sst1m-digicam-raw`` in which no pixel survives cleaning are windows of a recorded night sky:
no shower, but the camera's own noise, baselines and pixels. The pulses of the photo-electrons of the run's
gammas (`true_image`) are added to their samples, and the events are read, counted and judged as
``trigger-ml emulate`` does it, with the noise that it finds in the file. Beside each stands the same image,
photo-electron by photo-electron, in a simulated window of the night sky that was fitted to that file, and
windows without any light. So a "no" to all recorded events is told apart from a network that is blind under
this sky.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
from hadron_detector import Detector, Variant
from recorded_logits import NIGHT_SKY, RAW, logits, sizes, table_of

from trigger_ml.events.dl1 import Dl1Reader, open_dl1
from trigger_ml.events.noise import noise_of_images
from trigger_ml.events.raw import ADC_PER_PHOTOELECTRON, window_sum
from trigger_ml.events.sources import open_events, source_noise
from trigger_ml.instrument import sst1m
from trigger_ml.pipeline.decisions import load_emulator
from trigger_ml.pipeline.sample import event_files
from trigger_ml.simulation import electronics

RESULT = Path(__file__).parents[1] / "docs" / "figures" / "planted_gammas.json"
LIGHT = (80, 160, 320, 640, np.inf)
"""Edges in photo-electrons of the true image."""
SAMPLES = 50


def gammas(run: Path, number: int, rng: np.random.Generator) -> np.ndarray:
    """Photo-electrons of gammas, shape (number, pixels), spread over the run's file."""
    found = []
    for path in event_files(run):
        if "gamma" not in path.name:
            continue
        with open_dl1(path) as h5:
            found += [table.true_image for table in Dl1Reader(h5, path).tables(true_image=True)]
    images = np.concatenate(found)
    bright = np.flatnonzero(images.sum(axis=1) >= LIGHT[0])
    return images[rng.choice(bright, number, replace=False)]


def arrivals(rng: np.random.Generator, image: np.ndarray, peak: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixel and time (ns) of each photo-electron; a gamma's light comes within some nanoseconds."""
    pixel = np.repeat(np.arange(len(image)), image)
    time = (sst1m.TRIGGER_SAMPLE + rng.random()) * sst1m.SAMPLE - peak + rng.normal(0, 3, len(pixel))
    return pixel, time


def pulses(rng: np.random.Generator, detector: Detector, pixel: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Samples in ADC counts of light alone: no night sky and no noise."""
    parts = detector.parts
    still = np.zeros(1 << 10, np.float32)
    zero = np.zeros_like(parts.noise)
    found, _ = electronics.read_out(
        rng, pixel, time, still, parts.pulse, parts.gain, zero, zero, 0.0, SAMPLES
    )
    return found


def part(kept: np.ndarray) -> dict[str, float]:
    """Part that is kept, and its binomial error."""
    share = float(kept.mean())
    return {"events": len(kept), "kept": share, "error": float(np.sqrt(share * (1 - share) / len(kept)))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--gammas", type=int, default=600)
    parser.add_argument("--threshold", type=float, help="logit; else that of the run's robustness")
    arguments = parser.parse_args()
    rng = np.random.default_rng(4)
    emulator = load_emulator(arguments.run)
    cut = arguments.threshold
    if cut is None:
        robust = json.loads((arguments.run / "evaluation.json").read_text())["robustness"]
        cut = float(robust["thresholds"]["compressed"])

    source = open_events(arguments.data / RAW, waveform=True)
    noise = source_noise(source)
    tables = [noise.assign(read) for read in source]
    dark = [table[sizes(table.image, source.geometry) == 0] for table in tables]
    windows = np.concatenate([table.waveform for table in dark])
    print(f"{sum(map(len, tables))} recorded events, {len(windows)} without a cleaned pixel")

    detector = Detector(Variant(night_sky=NIGHT_SKY["raw"]))
    parts = detector.parts
    images = gammas(arguments.run, arguments.gammas, rng)
    nothing = np.zeros(0, np.int64), np.zeros(0)
    quiet = np.array([detector.waveform(*nothing) for _ in range(2 * len(windows) + 400)])
    empty = np.array([electronics.extract(w, parts.calibration, parts.correction)[0] for w in quiet])
    ours, others, many = np.split(empty, [len(windows), 2 * len(windows)])
    recorded, simulated = [], []
    for number, image in enumerate(images):
        light = pulses(rng, detector, *arrivals(rng, image, parts.peak))
        window = number % len(windows)
        samples = windows[window] + light[:, : windows.shape[2]] / np.float32(ADC_PER_PHOTOELECTRON)
        recorded.append(window_sum(samples)[0])
        simulated.append(electronics.extract(quiet[window] + light, parts.calibration, parts.correction)[0])
    answers, nights = {}, {}
    answers["recorded"] = logits(emulator, table_of(np.array(recorded)), noise.noise)
    nights["recorded"] = np.concatenate([logits(emulator, table, noise.noise) for table in dark])
    for name, measured in {"simulated": ours, "other_windows": others, "many_windows": many}.items():
        known = noise_of_images([measured], "model", judged=name == "simulated")
        answers[name] = logits(emulator, table_of(np.array(simulated)), known)
        nights[name] = logits(emulator, table_of(ours), known)
    total = images.sum(axis=1)
    result = {"threshold": cut, "night_sky": NIGHT_SKY["raw"], "windows": len(windows), "bins": []}
    for name in answers:
        result[name] = {"gammas": part(answers[name] >= cut), "no_light": part(nights[name] >= cut)}
    difference = (answers["recorded"] >= cut).astype(float) - (answers["simulated"] >= cut)
    result["difference"] = {
        "mean": float(difference.mean()),
        "error": float(difference.std() / np.sqrt(len(difference))),
    }
    for low, high in itertools.pairwise(LIGHT):
        inside = (total >= low) & (total < high)
        result["bins"].append(
            {"light": [low, high if np.isfinite(high) else None]}
            | {name: part(found[inside] >= cut) for name, found in answers.items()}
        )
    print(json.dumps(result, indent=1))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

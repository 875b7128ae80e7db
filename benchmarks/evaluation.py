"""What evaluating a million events costs: metrics, instrument response, bootstraps, figures.

Run as ``python benchmarks/evaluation.py [--events N] [--output FILE]``. Two passes, with a tenth of the
events and with all, show how the cost grows. Each pass is a process of its own, so that memory is its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TARGET_SECONDS, TARGET_GIB = 180.0, 4.0


def toy(n: int) -> dict:
    """Events of gammas and protons with the outputs of a float and a compressed model for every task."""
    from trigger_ml.evaluation import direction

    rng = np.random.default_rng(1)
    shower = np.arange(n) // 5
    label = shower % 2
    energy = (1 / (1 / 0.3 - rng.random(n // 5 + 1) * (1 / 0.3 - 1 / 100)))[shower]
    alt0, az0 = np.full(n, np.deg2rad(70.0)), np.full(n, 0.01)
    radius = np.where(label == 1, 0.5, 6 * np.sqrt(rng.random(n)))
    turn = rng.uniform(0, 2 * np.pi, n)
    plane = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    alt, az = direction.sky_direction(plane, alt0, az0)
    common = rng.normal(0, 0.6, n // 5 + 1)[shower]
    logit = (label - 0.5) * (2 + np.log10(energy)) + common + rng.normal(0, 1.2, n)
    log_energy = np.log10(energy) + rng.normal(0, 0.08, n)
    offsets = plane + rng.normal(0, 0.15, plane.shape)
    return {
        "truth": {
            "label": label,
            "energy": energy,
            "shower_id": shower,
            "alt": alt,
            "az": az,
            "pointing_alt": alt0,
            "pointing_az": az0,
            "obs_id": np.ones(n, dtype=int),
            "event_id": np.arange(n),
            "tel_id": np.ones(n, dtype=int),
            "primary_id": np.where(label == 1, 0, 101),
        },
        "type": (logit, np.round(logit + rng.normal(0, 0.3, n), 2)),
        "energy": (log_energy, np.round(log_energy + rng.normal(0, 0.03, n), 2)),
        "direction": (offsets, np.round(offsets + rng.normal(0, 0.05, offsets.shape), 2)),
    }


def single(n: int) -> dict:
    """Evaluate all tasks on ``n`` events; seconds of each part and peak memory."""
    from trigger_ml.core.config import ExperimentConfig
    from trigger_ml.core.config.evaluation import EvaluationConfig
    from trigger_ml.core.documents.base import write
    from trigger_ml.core.documents.evaluation import EVALUATION
    from trigger_ml.core.files import write_json
    from trigger_ml.evaluation import direction
    from trigger_ml.evaluation.bookkeeping import Simulated
    from trigger_ml.evaluation.evaluate import evaluate
    from trigger_ml.evaluation.events import EvaluationEvents
    from trigger_ml.evaluation.gadf import write_irfs
    from trigger_ml.evaluation.selection import Reconstruction
    from trigger_ml.report.page import write_report

    data = toy(n)
    events, config = EvaluationEvents(**data["truth"]), EvaluationConfig(bootstrap=200)
    thrown = {
        "gamma": Simulated("gamma", 20.0 * n, 0.3, 100.0, -2.0, 800.0),
        "proton": Simulated("proton", 90.0 * n, 0.3, 100.0, -2.0, 1200.0, view_cone=6.0),
    }
    reco = tuple(
        Reconstruction(10.0**e, *direction.sky_direction(o, events.pointing_alt, events.pointing_az))
        for e, o in zip(data["energy"], data["direction"], strict=True)
    )
    answers = dict(zip(("float", "compressed"), reco, strict=True))
    seconds = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for task in ("type", "energy", "direction"):
            extra = {"simulations": thrown, "reconstructions": answers} if task == "type" else {}
            outputs = dict(zip(answers, data[task], strict=True))
            start = time.perf_counter()
            found = evaluate(outputs, "float", events, config, 1, task, **extra)
            seconds[f"evaluate {task}" + (" and response" if extra else "")] = time.perf_counter() - start
            write(folder / task / "evaluation.json", EVALUATION, found)
            settings = ExperimentConfig(name=task, task=task).model_dump(mode="json")
            write_json(folder / task / "manifest.json", {"name": task, "task": task, "config": settings})
            start = time.perf_counter()
            write_report(folder / task)
            seconds["figures and pages"] = seconds.get("figures and pages", 0) + time.perf_counter() - start
        start = time.perf_counter()
        write_irfs(folder / "irf.fits.gz", events, data["type"][0], thrown, config, reco[0])
        seconds["response file"] = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"events": n, "seconds": seconds, "total": sum(seconds.values()), "peak_gib": peak}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/evaluation.json"))
    parser.add_argument("--single", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.single:
        print(json.dumps(single(arguments.single)))
        return 0
    passes = []
    for n in (arguments.events // 10, arguments.events):
        command = [sys.executable, __file__, "--single", str(n)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        passes.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"{'':28}" + "".join(f"{p['events']:>14,}" for p in passes))
    for part in passes[0]["seconds"]:
        print(f"{part:28}" + "".join(f"{p['seconds'][part]:>12.1f} s" for p in passes))
    print(f"{'total':28}" + "".join(f"{p['total']:>12.1f} s" for p in passes))
    print(f"{'per event':28}" + "".join(f"{1e6 * p['total'] / p['events']:>11.1f} us" for p in passes))
    print(f"{'peak memory':28}" + "".join(f"{p['peak_gib']:>10.2f} GiB" for p in passes))
    growth = (passes[1]["total"] - passes[0]["total"]) / (passes[1]["events"] - passes[0]["events"])
    print(f"each further event costs {1e6 * growth:.1f} us on {os.cpu_count()} cores")
    met = passes[1]["total"] < TARGET_SECONDS and passes[1]["peak_gib"] < TARGET_GIB
    print(f"target (under {TARGET_SECONDS:g} s and {TARGET_GIB:g} GiB): {'met' if met else 'missed'}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    content = {"passes": passes, "microseconds_per_further_event": 1e6 * growth, "target_met": met}
    arguments.output.write_text(json.dumps(content, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

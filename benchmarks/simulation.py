"""Speed of the event generator by particle and energy.

``python benchmarks/simulation.py [--showers N] [--output FILE]`` prints triggered telescope images (waveform
and DL1) per second of one core, counting processor time, so that other work on the machine does not matter;
two cores make twice as many.
"""

import argparse
import json
import resource
import time
from pathlib import Path

from trigger_ml.core.config import ParticleConfig, SimulationConfig
from trigger_ml.simulation import chunks
from trigger_ml.simulation.interactions import load_library

MIX = {
    "gamma": ParticleConfig(events=1, energy_min=0.3, energy_max=100.0),
    "proton": ParticleConfig(events=1, energy_min=0.5, energy_max=300.0, view_cone=8.0),
}
BANDS = {
    "gamma": ((0.3, 1), (1, 3), (3, 10), (10, 30), (30, 100)),
    "proton": ((0.5, 3), (3, 10), (10, 30), (30, 300)),
}


def measure(name: str, particle: ParticleConfig, showers: int, library: Path) -> dict[str, float]:
    worker = chunks.Worker(SimulationConfig(particles={name: particle}), 1, library)
    chunks.SHOWERS_PER_CHUNK[name] = 3
    # compiled code is loaded
    worker.chunk(name, 0)
    chunks.SHOWERS_PER_CHUNK[name] = showers
    start = time.process_time()
    chunk = worker.chunk(name, 1)
    seconds = time.process_time() - start
    return {
        "showers": showers,
        "uses": showers * particle.uses,
        "images": len(chunk.shower),
        "cpu_seconds": seconds,
        "images_per_cpu_second": len(chunk.shower) / seconds,
        "ms_per_shower": seconds / showers * 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--showers", type=int, default=300)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    library = load_library()
    results = {}
    print(
        f"{'particle':9s} {'TeV':>12s} {'uses':>6s} {'images':>7s} {'ms/shower':>10s} {'images / CPU s':>15s}"
    )
    for name, particle in MIX.items():
        for low, high in ((particle.energy_min, particle.energy_max), *BANDS[name]):
            changed = particle.model_copy(update={"energy_min": low, "energy_max": high})
            count = arguments.showers if high <= 30 or low < 1 else arguments.showers // 5
            row = measure(name, changed, max(count, 4), library)
            results[f"{name} {low:g}-{high:g}"] = row
            print(
                f"{name:9s} {f'{low:g}-{high:g}':>12s} {row['uses']:6.0f} {row['images']:7.0f}"
                f" {row['ms_per_shower']:10.1f} {row['images_per_cpu_second']:15.1f}"
            )
    whole = [
        results[f"{n} {p.energy_min:g}-{p.energy_max:g}"]["images_per_cpu_second"] for n, p in MIX.items()
    ]
    # equal numbers of both: times add
    mix = 2 / sum(1 / rate for rate in whole)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"mix, equal numbers of both: {mix:.0f} images per CPU second, {2 * mix:.0f} on two cores")
    print(f"memory {memory:.2f} GB")
    results["mix"] = {"images_per_cpu_second": mix, "two_cores": 2 * mix, "memory_gb": memory}
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

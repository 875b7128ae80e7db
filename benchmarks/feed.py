"""Reading, mapping and batching of DL1 images: trigger_ml against CTLearn's DLDataLoader, on the same files.

    python benchmarks/feed.py                      # simulates 2 x 20,000 images first (minutes)
    python benchmarks/feed.py --file g.h5 --background p.h5

Both sides start from closed files and end with shuffled batches of network input and labels in memory. The
peer's reader is timed from its construction, and over a stated number of its events: its time for batches is
scaled to all events of the files, its construction is not. The sides are measured several times, by turns;
the best times count. Processor time is given beside the time on the clock: with other work going on it is the
fairer one.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from trigger_ml.core import keras2  # noqa: F401  (CTLearn imports Keras; Keras 2 must be selected before)
from trigger_ml.core.config import EventsConfig, InputConfig, ParticleConfig, SimulationConfig
from trigger_ml.core.files import write_json
from trigger_ml.core.fixed_point import input_values
from trigger_ml.events.dataset import Dataset
from trigger_ml.events.loading import load_dataset
from trigger_ml.simulation.production import simulate

RESULTS = Path(__file__).parent / "results" / "feed.json"
BATCH = 64


def make_files(directory: Path, n_events: int) -> tuple[Path, Path]:
    config = SimulationConfig(
        particles={
            "gamma": ParticleConfig(events=n_events),
            "proton": ParticleConfig(events=n_events, energy_min=0.5, energy_max=300.0, view_cone=8.0),
        }
    )
    gamma, proton = simulate(config, directory, seed=1)
    return gamma, proton


def clocks() -> np.ndarray:
    """Seconds on the clock and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def run_ours(files: tuple[Path, Path], config: EventsConfig) -> tuple[int, np.ndarray]:
    """Events and seconds: files to shuffled float32 batches of one epoch, labels beside them."""
    start = clocks()
    dataset: Dataset = load_dataset(files, config)
    order = np.random.default_rng(0).permutation(len(dataset))
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        batch = input_values(dataset.counts[rows], config.input.bits)
        assert batch.dtype == np.float32
        assert len(dataset.label[rows]) == len(batch)
    return len(dataset), clocks() - start


def run_ctlearn(files: tuple[Path, Path], mapper: str, n_events: int) -> tuple[int, np.ndarray]:
    """Events and seconds of the peer, scaled to all its events: construction plus batches."""
    from ctlearn.core.loader import DLDataLoader
    from dl1_data_handler.reader import DLImageReader
    from traitlets.config import Config

    # without its default cut on the intensity: the same events on both sides
    config = Config({"TableQualityQuery": {"quality_criteria": []}})
    start = clocks()
    reader = DLImageReader(
        input_url_signal=[str(files[0])],
        input_url_background=[str(files[1])],
        channels=["image"],
        image_mapper_type=mapper,
        config=config,
    )
    total = reader._get_n_events()
    construction = clocks() - start
    order = np.random.default_rng(0).permutation(total)[:n_events].tolist()
    loader = DLDataLoader(reader, order, tasks=["type"], batch_size=BATCH)
    start = clocks()
    done = 0
    for index in range(len(loader)):
        features, _ = loader[index]
        done += len(features)
    seconds = clocks() - start
    reader._DLDataReader__destructor()
    return total, construction + seconds * total / done


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, help="DL1 file of gammas")
    parser.add_argument("--background", type=Path, help="DL1 file of hadrons (with --file)")
    parser.add_argument("--events", type=int, default=20_000, help="images of each class to make")
    parser.add_argument("--peer-events", type=int, default=2_048, help="events that the peer is timed on")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if (arguments.file is None) != (arguments.background is None):
        parser.error("--file and --background go together")
    with tempfile.TemporaryDirectory() as folder:
        files = (arguments.file, arguments.background)
        if arguments.file is None:
            files = make_files(Path(folder), arguments.events)
        cases = {
            "trigger_ml axial 48 x 48": lambda: run_ours(files, EventsConfig()),
            "trigger_ml bilinear 96 x 96": lambda: run_ours(
                files, EventsConfig(input=InputConfig(mapping="bilinear"))
            ),
            "CTLearn DLDataLoader axial": lambda: run_ctlearn(files, "AxialMapper", arguments.peer_events),
            "CTLearn DLDataLoader bilinear": lambda: run_ctlearn(
                files, "BilinearMapper", arguments.peer_events
            ),
        }
        best = {name: np.zeros(2) for name in cases}
        events: dict[str, int] = {}
        for _ in range(arguments.repeats):
            for name, case in cases.items():
                n, seconds = case()
                events[name] = n
                best[name] = np.maximum(best[name], n / seconds)
    ratios = {
        mapping: best[f"trigger_ml {mapping} {size}"] / best[f"CTLearn DLDataLoader {mapping}"]
        for mapping, size in (("axial", "48 x 48"), ("bilinear", "96 x 96"))
    }
    print(f"{'':32s}{'events':>10s}{'events/s':>12s}{'per CPU s':>12s}")
    for name, (clock, processor) in best.items():
        print(f"{name:32s}{events[name]:10d}{clock:12.0f}{processor:12.0f}")
    for mapping, (clock, processor) in ratios.items():
        print(f"ratio, {mapping} mapping: {clock:.1f} on the clock, {processor:.1f} in processor time")
    write_json(
        arguments.output,
        {
            "events": events,
            "events_per_second": {name: float(rate[0]) for name, rate in best.items()},
            "events_per_processor_second": {name: float(rate[1]) for name, rate in best.items()},
            "ratio": {mapping: float(ratio[0]) for mapping, ratio in ratios.items()},
            "ratio_processor_time": {mapping: float(ratio[1]) for mapping, ratio in ratios.items()},
            "peer_events_timed": arguments.peer_events,
            "batch": BATCH,
            "repeats": arguments.repeats,
            "simulated_here": arguments.file is None,
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "versions": {
                name: version(name) for name in ("ctlearn", "dl1-data-handler", "ctapipe", "tables", "numpy")
            },
        },
    )
    print(json.dumps({"written": str(arguments.output)}))


if __name__ == "__main__":
    main()

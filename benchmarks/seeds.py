"""How far trainings differ that differ in their seed alone: the float model of a run, and its compression.

    python benchmarks/seeds.py runs/demo [--seeds 10] [--compress] [--judge OTHER_RUN]

Trains the run's float model on its training events once for each seed (on one thread, so that seeds can be
given to several processes: ``--first``), compresses it if asked, and judges it on the run's test events and
on all events of another run (other showers, other conditions). Each finished seed is kept in
``benchmarks/results/seeds``; ends with mean and standard deviation.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
from rich.console import Console
from sklearn.metrics import roc_auc_score

from trigger_ml.compression.compress import compress
from trigger_ml.core.files import write_json
from trigger_ml.core.run import RunDirectory
from trigger_ml.events.loading import load_dataset
from trigger_ml.models.batches import predict
from trigger_ml.models.registry import build_model
from trigger_ml.models.training import train
from trigger_ml.pipeline.sample import Sample, event_files, load_sample
from trigger_ml.pipeline.workspace import Workspace

RESULTS = Path(__file__).parent / "results" / "seeds"


def one_seed(
    sample: Sample, judges: dict[str, tuple[Any, Any]], seed: int, compressed: bool
) -> dict[str, Any]:
    """AUC of a training on each set of events."""
    config, (counts, target, validation) = sample.config, sample.training()
    bits, folder = config.events.input.bits, RESULTS / f"{config.name}-{seed}"
    shared: dict[str, Any] = {"seed": seed, "symmetries": sample.symmetries}

    def judged(model: Any) -> dict[str, float]:
        return {
            name: float(roc_auc_score(label, predict(model, images, bits)[:, 0]))
            for name, (images, label) in judges.items()
        }

    model = build_model(config.model, counts.shape[1:], "type", seed)
    history = train(
        model, counts, target, validation, config.train, bits=bits, directory=folder / "float", **shared
    )
    assert history.ending is not None
    row = {
        "seed": seed,
        "epochs": history.epochs_run,
        "plateau": history.ending.plateau,
        "float": judged(model),
    }
    if compressed:
        result = compress(
            model, counts, target, validation, config.compression,
            input_type=config.events.input.dtype, tensorboard=False,
            directory=folder / "compressed", **shared,
        )  # fmt: skip
        row |= {"sparsity": result.sparsity, "compressed": judged(result.model)}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--compress", action="store_true")
    parser.add_argument("--judge", type=Path, help="a run whose events judge too")
    arguments = parser.parse_args()
    config = RunDirectory(arguments.run).config()
    sample = load_sample(Workspace(config, RunDirectory(arguments.run), Console(stderr=True)))
    test = sample.dataset[sample.splits.test]
    judges = {"test": (test.counts, test.label)}
    if arguments.judge:
        others = load_dataset(event_files(arguments.judge), config.events)
        judges["others"] = (others.counts, others.label)
    RESULTS.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        path = RESULTS / f"{config.name}-{seed}{'-compressed' if arguments.compress else ''}.json"
        if not path.exists():
            write_json(path, one_seed(sample, judges, seed, arguments.compress))
        rows.append(json.loads(path.read_text()))
        print(rows[-1], flush=True)
    for model in ("float", "compressed"):
        for name in judges:
            if found := [row[model][name] for row in rows if model in row]:
                spread = np.std(found, ddof=1) if len(found) > 1 else np.nan
                print(f"{model}, {name}: {np.mean(found):.4f} +- {spread:.4f} between {len(found)} seeds")


if __name__ == "__main__":
    main()

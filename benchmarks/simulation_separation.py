"""How well a float ResNet separates the generator's gammas from its protons, and what simple quantities give
away.

``python benchmarks/simulation_separation.py GAMMA.dl1.h5 PROTON.dl1.h5 [--output FILE]`` trains on
single-telescope images, divided by shower, and prints the AUC with its bootstrap interval, for all events,
by energy and by size, beside the AUC of single numbers (total charge, brightest pixel, lit pixels, edge
charge): a network far above 0.93, or a single number above 0.8, would mean that the simulation gives the
class away.
"""

import argparse
import json
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

import trigger_ml  # noqa: F401  (Keras 2 before TensorFlow)
from trigger_ml.core.config import (
    EventsConfig,
    InputConfig,
    ModelConfig,
    SplitConfig,
    StageConfig,
    TrainConfig,
)
from trigger_ml.events.feed import load_dataset, split_by_shower
from trigger_ml.models.registry import build_model
from trigger_ml.models.training import predict, train

PUBLISHED = "CTLearn v0.2, SST-1M single telescope: 0.854"


def interval(label, score, shower, rng, repeats=200):
    """AUC and its 68 % interval, resampling whole showers."""
    if len(np.unique(label)) < 2:
        return None
    ids, inverse = np.unique(shower, return_inverse=True)
    values = []
    for _ in range(repeats):
        weight = np.bincount(rng.integers(0, len(ids), len(ids)), minlength=len(ids))[inverse]
        if weight[label == 1].sum() and weight[label == 0].sum():
            values.append(roc_auc_score(label, score, sample_weight=weight))
    return [roc_auc_score(label, score), *np.percentile(values, [16, 84]).tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    config = EventsConfig(input=InputConfig(), split=SplitConfig(validation=0.1, test=0.3))
    data = load_dataset(arguments.files, config)
    splits = split_by_shower(data, config.split, 1)
    model = build_model(
        ModelConfig(
            stem_filters=12,
            stages=(
                StageConfig(filters=16),
                StageConfig(filters=24, strides=2),
                StageConfig(filters=32, strides=2),
            ),
        ),
        data.counts.shape[1:],
        "type",
        seed=1,
    )
    bits = config.input.bits
    part = {name: (data.counts[rows], data.label[rows]) for name, rows in vars(splits).items()}
    with tempfile.TemporaryDirectory() as folder:
        history = train(
            model, *part["train"], part["validation"],
            TrainConfig(epochs=arguments.epochs, patience=10, tensorboard=False), bits=bits, seed=1,
            directory=Path(folder),
        )  # fmt: skip
    counts, label = part["test"]
    score = predict(model, counts, bits)[:, 0]
    energy, shower = data.energy[splits.test], data.shower_id[splits.test]
    charge = counts[..., 0].astype(float) * config.input.charge_lsb
    lit = np.where(charge >= 8, charge, 0.0)
    size = lit.sum(axis=(1, 2))
    border = data.grid.mask & ~_eroded(data.grid.mask)
    results = {
        "events": {name: len(rows) for name, rows in vars(splits).items()},
        "parameters": int(model.count_params()),
        "epochs": history.epochs_run,
        "auc": interval(label, score, shower, rng),
        "published": PUBLISHED,
        "by_energy_tev": {},
        "by_size_pe": {},
        "single_numbers": {
            "size": _either(label, size),
            "brightest pixel": _either(label, charge.max(axis=(1, 2))),
            "pixels above 8 p.e.": _either(label, (lit > 0).sum(axis=(1, 2))),
            "charge at the edge": _either(label, (lit * border).sum(axis=(1, 2))),
            "dark charge": _either(label, np.where(charge < 8, charge, 0).sum(axis=(1, 2))),
        },
    }
    for key, value, edges in (
        ("by_energy_tev", energy, (0.3, 1, 2, 4, 8, 16, 50, 300)),
        ("by_size_pe", size, (0, 100, 200, 400, 800, 2000, 1e6)),
    ):
        for low, high in pairwise(edges):
            inside = (value >= low) & (value < high)
            n = [int((label[inside] == c).sum()) for c in (1, 0)]
            if min(n) >= 20:
                results[key][f"{low:g}-{high:g}"] = [
                    *interval(label[inside], score[inside], shower[inside], rng),
                    *n,
                ]
    print(json.dumps(results, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


def _either(label, value):
    auc = roc_auc_score(label, value)
    return max(auc, 1 - auc)


def _eroded(mask):
    inner = mask.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(mask, step, axis)
    inner[[0, -1]] = False
    inner[:, [0, -1]] = False
    return inner


if __name__ == "__main__":
    main()

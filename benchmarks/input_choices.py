"""Which input moves least with the night sky: one small network, the same events counted in several ways.

    python benchmarks/input_choices.py runs/demo [--epochs 12] [--choice threshold-3 ...]

Needs a run whose events were simulated under many night skies (configs/demo.yaml). For each way of counting a
float network of the run's configuration is trained on its training events, and judged on its test events in
five bins of equal numbers of true night-sky rate: AUC, and the gammas and hadrons that one threshold keeps
(that which keeps 70 % of all gammas). Boosted trees on cleaned images stand beside. Writes
``benchmarks/results/input-choices.json``.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from trigger_ml.core.config import ExperimentConfig, TrainConfig
from trigger_ml.core.files import write_json
from trigger_ml.core.run import RunDirectory
from trigger_ml.events.dataset import Dataset, split_by_shower
from trigger_ml.events.dl1 import Dl1Reader, open_dl1
from trigger_ml.events.image_parameters import ImageParameters
from trigger_ml.events.loading import load_dataset
from trigger_ml.events.rival import read_parameters
from trigger_ml.models.batches import predict
from trigger_ml.models.registry import build_model
from trigger_ml.models.training import train
from trigger_ml.models.trees import load_trees, save_trees
from trigger_ml.pipeline.sample import event_files, night_sky_files

RESULTS = Path(__file__).parent / "results" / "input-choices.json"
BINS = 5
LSB = 0.5


@dataclass(frozen=True, eq=False)
class Images:
    """Charges and the noise of their pixels, each of shape (events, pixels)."""

    charge: NDArray[np.float32]
    mean: NDArray[np.float32]
    spread: NDArray[np.float32]


def images_of(path: Path) -> Images:
    with open_dl1(path) as h5:
        reader = Dl1Reader(h5, path)
        tables = list(reader.tables())
        block = np.concatenate([table.block for table in tables])
        conditions = reader.conditions
        return Images(
            np.concatenate([table.image for table in tables]),
            conditions.pedestal_mean[block],
            np.where(conditions.dead, np.inf, conditions.pedestal_std)[block].astype(np.float32),
        )


def above(least: float, charge: float = 0.0) -> Callable[[Images, ImageParameters], NDArray[Any]]:
    """Charge over the pedestal where it exceeds so many spreads and photo-electrons."""

    def count(images: Images, _: ImageParameters) -> NDArray[Any]:
        light = images.charge - images.mean
        return np.where(light >= np.maximum(least * images.spread, charge), light / LSB, 0)

    return count


def cleaned(images: Images, parameters: ImageParameters) -> NDArray[Any]:
    """Charge over the pedestal of pixels that survive tail cuts in spreads: 5 with two neighbours, 2.5."""
    light = images.charge - images.mean
    with np.errstate(invalid="ignore"):
        mask = parameters.clean((light / images.spread).astype(np.float32), 5.0, 2.5)
    return np.where(mask, light / LSB, 0)


CHOICES: dict[str, Callable[[Images, ImageParameters], NDArray[Any]]] = {
    "as before: charge": lambda images, _: images.charge / LSB,
    "signed, 16 counts for none": lambda images, _: (images.charge - images.mean) / LSB + 16,
    "over 2 spreads": above(2.0),
    "over 3 spreads": above(3.0),
    "over 4 spreads": above(4.0),
    "over 3 spreads and 5 p.e.": above(3.0, 5.0),
    "less 2 spreads": lambda images, _: (images.charge - images.mean - 2 * images.spread) / LSB,
    "cleaned, 5 and 2.5 spreads": cleaned,
}


def judged(
    logit: NDArray[np.float64], label: NDArray[np.int8], rate: NDArray[np.float64], night: NDArray[Any] | None
) -> dict[str, Any]:
    """Figures in bins of the night-sky rate."""
    edges = np.quantile(rate, np.linspace(0, 1, BINS + 1))
    place = np.clip(np.searchsorted(edges, rate, side="right") - 1, 0, BINS - 1)
    cut = np.quantile(logit[label == 1], 0.3)
    rows = [
        {
            "auc": float(roc_auc_score(label[place == b], logit[place == b])),
            "gammas": float((logit[(place == b) & (label == 1)] >= cut).mean()),
            "hadrons": float((logit[(place == b) & (label == 0)] >= cut).mean()),
        }
        for b in range(BINS)
    ]
    return {
        "auc": float(roc_auc_score(label, logit)),
        "edges": edges.tolist(),
        "bins": rows,
        "night_sky_accepted": None if night is None else float((night >= cut).mean()),
    }


def network(
    config: ExperimentConfig, counts: NDArray[np.uint8], data: Dataset, epochs: int, night: NDArray[np.uint8]
) -> dict[str, Any]:
    splits = split_by_shower(data, config.events.split, config.seed)
    model = build_model(config.model, counts.shape[1:], "type", config.seed)
    target = data.label.astype(np.float32)[:, np.newaxis]
    half = len(night) // 2
    settings = TrainConfig(
        **{**config.train.model_dump(), "epochs": epochs, "cooldown": 1.0, "tensorboard": False}
    )
    with tempfile.TemporaryDirectory() as folder:
        train(
            model,
            np.concatenate([counts[splits.train], night[:half]]),
            np.concatenate([target[splits.train], np.zeros((half, 1), np.float32)]),
            (counts[splits.validation], target[splits.validation]),
            settings,
            bits=8,
            seed=config.seed,
            directory=Path(folder),
            symmetries=data.grid.symmetries,
        )
    logit = predict(model, counts[splits.test], 8)[:, 0]
    test = data[splits.test]
    return judged(logit, test.label, test.conditions["true_night_sky"], predict(model, night[half:], 8)[:, 0])


def trees(config: ExperimentConfig, data: Dataset) -> dict[str, Any]:
    splits = split_by_shower(data, config.events.split, config.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trees.npz"
        save_trees(
            path,
            read_parameters(data, config.events),
            data.label,
            splits.train,
            splits.validation,
            config.seed,
        )
        found, parameters = load_trees(path)
    logit = found.logits({name: column[splits.test] for name, column in parameters.items()})
    test = data[splits.test]
    return judged(np.asarray(logit).reshape(-1), test.label, test.conditions["true_night_sky"], None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--choice", action="append", choices=list(CHOICES))
    options = parser.parse_args()
    config = RunDirectory(options.run).config()
    data = load_dataset(event_files(options.run), config.events)
    night_files = night_sky_files(options.run)
    parts = [images_of(path) for path in (*event_files(options.run), *night_files)]
    with open_dl1(event_files(options.run)[0]) as h5:
        reader = Dl1Reader(h5, event_files(options.run)[0])
        parameters = ImageParameters(reader.subarray.tel[reader.telescopes[0]].camera.geometry)
    results: dict[str, Any] = {"epochs": options.epochs, "trees": trees(config, data)}
    report("trees", results["trees"])
    for name in options.choice or CHOICES:
        counted = [
            data.grid.to_grid(
                np.clip(np.rint(np.nan_to_num(CHOICES[name](part, parameters))), 0, 255).astype(np.uint8)
            )[..., np.newaxis]
            for part in parts
        ]
        counts, night = np.concatenate(counted[:-1]), counted[-1]
        results[name] = network(config, counts, data, options.epochs, night)
        report(name, results[name])
        write_json(RESULTS, results)


def report(name: str, found: dict[str, Any]) -> None:
    print(f"{name}: AUC {found['auc']:.3f}, night sky accepted {found['night_sky_accepted']}")
    for key in ("auc", "gammas", "hadrons"):
        print("   ", key, " ".join(f"{row[key]:.3f}" for row in found["bins"]), flush=True)


if __name__ == "__main__":
    main()

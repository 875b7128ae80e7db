"""How well the generator's gammas and protons can be told apart, and what simple quantities give away.

    trigger-ml evaluate configs/sst1m-trigger.yaml
    python benchmarks/simulation_separation.py runs/sst1m-trigger

prints the AUC of the run's float and compressed models on its test showers: overall, with a size cut, by
energy and by size, with 68 % intervals from resampled showers. Beside them stand the AUC of single numbers
(total charge, brightest pixel, lit pixels, charge at the edge, distance from the centre) and of boosted trees
on Hillas parameters. A network far above 0.93, or a single number above 0.8, would mean that the simulation
gives the class away. Writes ``docs/figures/simulation-separation.{json,png}``.
"""

import argparse
import json
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import trigger_ml  # noqa: F401  (Keras 2 before TensorFlow)
from trigger_ml.core.config import ExperimentConfig, parse
from trigger_ml.core.layout import EMULATOR, FLOAT_MODEL
from trigger_ml.events.dataset import split_by_shower
from trigger_ml.events.image_parameters import ImageParameters
from trigger_ml.events.loading import load_dataset
from trigger_ml.firmware.onnx.emulator import Emulator
from trigger_ml.instrument.digicam import sst1m_subarray
from trigger_ml.models.batches import predict
from trigger_ml.models.files import load_model
from trigger_ml.pipeline.sample import event_files

mpl.use("Agg")
import matplotlib.pyplot as plt

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
PUBLISHED = {"CTLearn v0.2, SST-1M single telescope, all energies": 0.854}
ENERGIES = (0.3, 1, 2, 4, 8, 16, 50, 300)
SIZES = (0, 50, 100, 200, 400, 800, 2000, 1e6)


def interval(label, score, shower, rng, repeats=200):
    """AUC and its 68 % interval, resampling whole showers."""
    ids, inverse = np.unique(shower, return_inverse=True)
    values = []
    for _ in range(repeats):
        weight = np.bincount(rng.integers(0, len(ids), len(ids)), minlength=len(ids))[inverse]
        if weight[label == 1].sum() and weight[label == 0].sum():
            values.append(roc_auc_score(label, score, sample_weight=weight))
    return [roc_auc_score(label, score), *np.percentile(values, [16, 84]).tolist()]


def binned(name, value, edges, label, scores, shower, rng):
    rows = {}
    for low, high in pairwise(edges):
        inside = (value >= low) & (value < high)
        n = [int((label[inside] == c).sum()) for c in (1, 0)]
        if min(n) >= 20:
            auc = {key: interval(label[inside], s[inside], shower[inside], rng) for key, s in scores.items()}
            rows[f"{low:g}-{high:g}"] = {"gammas": n[0], "protons": n[1], **auc}
            print(f"{name} {low:6g} to {high:6g}: " + "  ".join(f"{k} {v[0]:.3f}" for k, v in auc.items()), n)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    rng = np.random.default_rng(1)
    manifest = json.loads((run / "manifest.json").read_text())
    config = parse(ExperimentConfig, manifest["config"], "manifest.json")
    data = load_dataset(event_files(run), config.events)
    splits = split_by_shower(data, config.events.split, config.seed)
    counts, label, shower = (getattr(data[splits.test], name) for name in ("counts", "label", "shower_id"))
    energy = data.energy[splits.test]
    scores = {
        "float": predict(load_model(run / FLOAT_MODEL), counts, config.events.input.bits)[:, 0],
        "compressed": next(iter(Emulator(run / EMULATOR).values(counts).values()))[:, 0],
    }
    pixels = data.grid.to_pixels(data.counts[..., 0]).astype(np.float32) * config.events.input.charge_lsb
    parameters = ImageParameters(sst1m_subarray().tel[1].camera.geometry)
    lit = parameters.clean(pixels)
    hillas = parameters.compute(pixels, lit)
    # neither the orientation nor the place around the pointing: what an image is like
    names = [n for n in hillas if not n.endswith(("_lon", "_lat", "_phi", "_psi"))]
    table = np.column_stack([hillas[name] for name in names])
    trees = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.08, random_state=1)
    trees.fit(table[splits.train], data.label[splits.train])
    scores["Hillas trees"] = trees.predict_proba(table[splits.test])[:, 1]
    size = np.nan_to_num(hillas["hillas_intensity"][splits.test])
    single = {
        "size": size,
        "brightest pixel": pixels[splits.test].max(axis=1),
        "pixels": hillas["morphology_n_pixels"][splits.test],
        "charge at the edge": np.nan_to_num(hillas["leakage_intensity_width_2"][splits.test]),
        "distance from the centre": np.nan_to_num(hillas["hillas_r"][splits.test]),
        "charge in dark pixels": np.where(lit[splits.test], 0, pixels[splits.test]).sum(axis=1),
    }
    results = {
        "events": {name: len(rows) for name, rows in vars(splits).items()},
        "auc": {key: interval(label, s, shower, rng) for key, s in scores.items()},
        "auc_above_50_pe": {
            key: interval(label[size >= 50], s[size >= 50], shower[size >= 50], rng)
            for key, s in scores.items()
        },
        "published": PUBLISHED,
        "single_numbers": {key: _either(label, value) for key, value in single.items()},
    }
    print(json.dumps(results, indent=1))
    results["by_energy_tev"] = binned("TeV", energy, ENERGIES, label, scores, shower, rng)
    results["by_size_pe"] = binned("p.e.", size, SIZES, label, scores, shower, rng)
    (FIGURES / "simulation-separation.json").write_text(json.dumps(results, indent=1) + "\n")
    draw(results)


def draw(results):
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    for ax, key, label in zip(
        axes, ("by_energy_tev", "by_size_pe"), ("true energy / TeV", "size / photo-electrons"), strict=True
    ):
        rows = results[key]
        position = np.arange(len(rows))
        for model, style in (("float", "o-"), ("compressed", "s--"), ("Hillas trees", "^:")):
            auc, low, high = np.array([row[model] for row in rows.values()]).T
            ax.errorbar(position, auc, [auc - low, high - auc], fmt=style, capsize=3, label=model)
        for name, value in results["published"].items():
            ax.axhline(value, color="grey", lw=1, label=name)
        ax.set_xticks(position, [name.replace("1e+06", "") for name in rows])
        ax.set_xlabel(label)
    axes[0].set_ylabel("AUC, 68 % intervals")
    axes[0].legend(fontsize=8)
    figure.savefig(FIGURES / "simulation-separation.png", dpi=100)


def _either(label, value):
    auc = roc_auc_score(label, value)
    return max(auc, 1 - auc)


if __name__ == "__main__":
    main()

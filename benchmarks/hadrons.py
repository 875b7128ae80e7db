"""Simulated hadrons against the recorded images of 2017, through the steps that made those images.

``python benchmarks/hadron_photons.py FOLDER SECONDS`` makes the photons, then
``python benchmarks/hadrons.py FOLDER ../shared/data`` writes ``docs/figures/hadrons.json`` and
``hadrons.png``: how many pixels images have and how concentrated they are at each size, for the nominal
telescope and for variants of it on the same photons; and how well boosted trees tell the model from the data.

Simulated events carry the weight of the flux and, for the trees, one more that gives them the recorded sizes.
A shower's events are always in one fold. Intervals (68 %) are from showers and recorded events drawn anew.
"""

import argparse
import json
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path

import h5py
import hadron_photons
import matplotlib as mpl
import numpy as np
from hadron_detector import FEATURES, Detector, Variant, features

mpl.use("Agg")
import matplotlib.pyplot as plt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from trigger_ml.instrument.digicam import sst1m_subarray

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
EDGES = np.array([150, 250, 400, 800, 1500, 3000, np.inf])
FINE = np.array([150, 170, 200, 250, 320, 400, 550, 800, 1100, 1500, 2200, 3000, 5000, np.inf])
"""Sizes within which the model is given the recorded number of events."""
BANDS = {"all": (150, np.inf), "150-250": (150, 250), "250-400": (250, 400), "400-800": (400, 800),
         "800-1500": (800, 1500), "above 1500": (1500, np.inf)}  # fmt: skip
SHOWN = ("pixels", "two", "width", "length", "lit", "rim")
VARIANTS = {
    "nominal": Variant(),
    "blurred": Variant(point_spread=0.05),
    "lit from 0.6 spreads": Variant(lit=0.6),
    "stray light": Variant(stray=0.1, stray_spread=0.3),
    "light in neighbours": Variant(neighbours=0.08),
    "brighter sky": Variant(night_sky=0.30),
    "lower ceiling": Variant(ceiling=2500.0),
}
COMPARED = ("nominal", "blurred")


def recorded(data, geometry):
    """Features of the recorded images."""
    with h5py.File(data / "digicam-real-images" / "images.h5") as file:
        columns, good = features(file["image"][:], geometry)
    return {name: values[good] for name, values in columns.items()}


def simulated(folder, name, variant, events):
    """Features of the events of a variant, and ``shower``, ``weight``, ``energy``, ``core``, ``group``."""
    key = [len(events.photons), *astuple(variant)]
    path = folder / f"features-{name.replace(' ', '-')}.npz"
    if path.exists():
        with np.load(path) as content:
            if content["key"].tolist() == key:
                return {column: content[column] for column in content.files if column != "key"}
    detector = Detector(variant)
    images, numbers = detector.images(events.photons)
    columns, good = features(images, detector.geometry)
    result = {column: values[good] for column, values in columns.items()}
    for column in ("shower", "weight", "energy", "core", "group"):
        result[column] = events.table[column][numbers[good]]
    np.savez(path, key=key, **result)
    return result


def effective(weight, shower):
    """Showers of equal weight that would fluctuate as much."""
    sums = np.bincount(np.unique(shower, return_inverse=True)[1], weight)
    return float(sums.sum() ** 2 / (sums**2).sum())


def median(values, weight):
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def resample(rng, group):
    """How often each event is drawn when the groups are drawn anew."""
    _, inverse = np.unique(group, return_inverse=True)
    return np.bincount(rng.integers(inverse.max() + 1, size=inverse.max() + 1), minlength=inverse.max() + 1)[
        inverse
    ]


def by_size(table, rng, resamples=100):
    """Weighted medians of ``SHOWN`` by size, with 68 % intervals; None for nearly empty bins."""
    weight = table.get("weight", np.ones(len(table["size"])))
    group = table.get("shower", np.arange(len(table["size"])))
    result = {"events": [], "effective_showers": [], **{name: [] for name in SHOWN}}
    for low, high in pairwise(EDGES):
        inside = (table["size"] >= low) & (table["size"] < high)
        result["events"].append(int(inside.sum()))
        enough = inside.sum() >= 20
        result["effective_showers"].append(effective(weight[inside], group[inside]) if enough else None)
        draws = [resample(rng, group[inside]) for _ in range(resamples)] if enough else []
        for name in SHOWN:
            if not enough:
                result[name].append(None)
                continue
            values, own = table[name][inside], weight[inside]
            spread = np.percentile([median(values[d > 0], (own * d)[d > 0]) for d in draws], [16, 84])
            result[name].append([median(values, own), *spread.tolist()])
    return result


def size_matched(real_size, table):
    """Weights that give the model the recorded sizes and the same total; 0 where the data have none."""
    weight = table["weight"].astype(float).copy()
    ours, theirs = np.digitize(table["size"], FINE), np.digitize(real_size, FINE)
    for b in np.unique(ours):
        inside = ours == b
        weight[inside] *= (theirs == b).sum() / weight[inside].sum()
    return weight


def scores(real, table, seed=0, folds=5):
    """Out-of-fold scores of boosted trees: labels (1 simulated), scores, weights, sizes and groups."""
    columns = [np.column_stack([t[name] for name in FEATURES]) for t in (real, table)]
    x = np.concatenate(columns)
    n, m = len(columns[0]), len(columns[1])
    label = np.repeat([0, 1], [n, m])
    weight = np.concatenate([np.ones(n), size_matched(real["size"], table)])
    group = np.concatenate([-1.0 - np.arange(n), table["shower"]])
    score = np.zeros(n + m)
    for train, test in GroupKFold(folds, shuffle=True, random_state=seed).split(x, label, group):
        trees = HistGradientBoostingClassifier(
            max_iter=80, learning_rate=0.08, max_leaf_nodes=8, min_samples_leaf=30, random_state=0
        )
        score[test] = trees.fit(x[train], label[train], weight[train]).predict_proba(x[test])[:, 1]
    return label, score, weight, x[:, 0], group


def separation(real, table, rng, resamples=100):
    """AUC in the ``BANDS`` with 68 % intervals."""
    label, score, weight, size, group = scores(real, table)
    result = {}
    for name, (low, high) in BANDS.items():
        inside = np.flatnonzero((size >= low) & (size < high))

        def auc(times, inside=inside):
            own = inside[times > 0]
            return roc_auc_score(label[own], score[own], sample_weight=weight[own] * times[times > 0])

        drawn = [auc(resample(rng, group[inside])) for _ in range(resamples)]
        simulated_part = inside[label[inside] == 1]
        result[name] = {
            "auc": auc(np.ones(len(inside))),
            "auc_68": np.percentile(drawn, [16, 84]).tolist(),
            "simulated": len(simulated_part),
            "effective_showers": effective(weight[simulated_part], group[simulated_part]),
        }
    return result


def learning_curve(real, table, rng, parts=(0.25, 0.5)):
    """AUC over all sizes and above 1500 with part of the showers and of the data only."""
    result = []
    names = np.unique(table["shower"])
    for part in parts:
        chosen = np.isin(table["shower"], rng.choice(names, int(part * len(names)), replace=False))
        rows = rng.random(len(real["size"])) < part
        few = {name: values[rows] for name, values in real.items()}
        label, score, weight, size, _ = scores(few, {name: v[chosen] for name, v in table.items()})
        bright = size >= 1500
        result.append(
            {
                "simulated": int(chosen.sum()),
                "recorded": int(rows.sum()),
                "all": roc_auc_score(label, score, sample_weight=weight),
                "above 1500": roc_auc_score(label[bright], score[bright], sample_weight=weight[bright]),
            }
        )
    return result


def draw(result, path):
    figure, axes = plt.subplots(1, 4, figsize=(17, 4), layout="constrained")
    centre = np.sqrt(EDGES[:-1] * np.minimum(EDGES[1:], 8000))
    labels = {
        "pixels": "pixels",
        "two": "two brightest pixels / size",
        "rim": "charge of the added row / p.e.",
    }
    for ax, (quantity, label) in zip(axes, labels.items(), strict=False):
        for name, style in (("recorded", "ks"), ("nominal", "C0o-"), ("blurred", "C1^-")):
            if name not in result["by_size"]:
                continue
            rows = result["by_size"][name][quantity]
            full = [i for i, row in enumerate(rows) if row is not None]
            middle, low, high = np.array([rows[i] for i in full]).T
            ax.errorbar(centre[full], middle, [np.maximum(middle - low, 0), np.maximum(high - middle, 0)],
                        fmt=style, capsize=3, label=name)  # fmt: skip
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter("")
        ax.set_xlabel("size / photo-electrons")
        ax.set_ylabel(label)
    axes[0].set_yscale("log")
    axes[0].legend()
    for k, name in enumerate(n for n in COMPARED if n in result["separation"]):
        bands = result["separation"][name]
        middle = np.array([b["auc"] for b in bands.values()])
        low, high = np.array([b["auc_68"] for b in bands.values()]).T
        axes[3].errorbar(np.arange(len(bands)) + 0.1 * k, middle,
                         [np.maximum(middle - low, 0), np.maximum(high - middle, 0)], fmt=("C0o", "C1^")[k],
                         capsize=3, label=name)  # fmt: skip
    axes[3].axhline(0.6, color="grey", ls=":")
    axes[3].axhline(0.68, color="grey", ls="--")
    axes[3].set_xticks(range(len(BANDS)), list(BANDS), rotation=30)
    axes[3].set_ylabel("AUC of model against data")
    axes[3].legend()
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="photons of hadron_photons.py")
    parser.add_argument("data", type=Path)
    parser.add_argument("--shards", type=int, help="use the first so many only")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS))
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    real = recorded(arguments.data, sst1m_subarray().tel[1].camera.geometry)
    events = hadron_photons.read(arguments.folder, arguments.shards)
    path = FIGURES / "hadrons.json"
    result = {"showers": events.showers, "events": len(events.photons), "edges": EDGES[:-1].tolist(),
              "by_size": {"recorded": by_size(real, rng)}, "separation": {},
              "learning_curve": {}}  # fmt: skip
    for name in arguments.variants:
        table = simulated(arguments.folder, name, VARIANTS[name], events)
        result["by_size"][name] = by_size(table, rng)
        print(
            name, {q: [r and round(r[0], 3) for r in result["by_size"][name][q]] for q in SHOWN}, flush=True
        )
        if name in COMPARED:
            result["separation"][name] = separation(real, table, rng)
            print(
                {
                    k: (round(v["auc"], 3), np.round(v["auc_68"], 3))
                    for k, v in result["separation"][name].items()
                }
            )
            result["learning_curve"][name] = learning_curve(real, table, rng)
            print(result["learning_curve"][name], flush=True)
        path.write_text(json.dumps(result, indent=1) + "\n")
    draw(result, FIGURES / "hadrons.png")


if __name__ == "__main__":
    main()

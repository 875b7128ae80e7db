"""AUC against lookup tables: bits learned under a budget, against uniform bits and magnitude pruning.

    python benchmarks/learned_bits.py runs/demo [--every 2] [--epochs 2 4] [--synthesize NAME ...]

Takes events and float model of a finished run. Every network gets the same epochs, and so does the float
control; AUCs are of the run's test events, differences paired by shower. Each point is kept with its network
in ``benchmarks/results/learned_bits``, its training after every epoch: what was interrupted goes on.
``--only`` does some points (others may be done by another process), ``--table`` none: it prints what there
is.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
from rich.console import Console

from trigger_ml.compression.compress import compress
from trigger_ml.compression.control import train_control
from trigger_ml.core import layout
from trigger_ml.core.config import CompressionConfig, ExperimentConfig
from trigger_ml.core.files import write_json
from trigger_ml.core.run import RunDirectory
from trigger_ml.evaluation.uncertainty import Resamples, intervals, resample_showers
from trigger_ml.firmware.cost.prediction import predict as predicted
from trigger_ml.firmware.cost.synthesis import part_named, synthesize
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.rtl.project import TOP, design, sources
from trigger_ml.models.batches import predict
from trigger_ml.models.files import load_model, save_model
from trigger_ml.pipeline.price import measure_of
from trigger_ml.pipeline.sample import Sample, load_sample
from trigger_ml.pipeline.workspace import Workspace

RESULTS = Path(__file__).parent / "results" / "learned_bits"
CONTROL = "control"
# bits of weights and activations, fraction of the weights removed
UNIFORM = ((6, 0.8), (6, 0.5), (4, 0.8), (6, 0.9), (4, 0.5), (5, 0.65), (4, 0.9), (6, 0.65), (5, 0.8))
BUDGETS = (16000, 30000, 10000, 22000, 7000)


def settings(name: str, epochs: tuple[int, int], seed: int) -> CompressionConfig:
    """Configuration of a point: ``uniform-6-0.8``, ``learned-16000`` or ``control``."""
    kind, *numbers = name.split("-")
    common: dict[str, Any] = {"distillation": 0.5, "batch_size": 32, "seed": seed}
    if kind == "learned":
        steps = [
            {"step": "fold"},
            {"step": "quantize", "default": {"weights": 6, "activations": 6}},
            {"step": "learn-bits", "epochs": sum(epochs), "learning_rate": 2e-3},
        ]
        return CompressionConfig(steps=steps, budget={"lut": int(numbers[0])}, **common)
    bits, sparsity = (int(numbers[0]), float(numbers[1])) if numbers else (6, 0.5)
    return CompressionConfig(
        quantization={"default": {"weights": bits, "activations": bits}},
        pruning={"sparsity": sparsity, "epochs": epochs[0], "end": 0.6},
        epochs=epochs[1],
        **common,
    )


def one_point(name: str, sample: Sample, run: Path, options: argparse.Namespace) -> None:
    """Train one network, or the control; keep its figures and its logits of the test events."""
    config, folder = sample.config, RESULTS / name
    counts, target, validation = sample.training()
    counts, target = counts[:: options.every], target[:: options.every]
    compression = settings(name, tuple(options.epochs), options.seed)
    shared: dict[str, Any] = sample.fine_tuning | {"seed": options.seed, "tensorboard": False}
    model, bits = load_model(run / layout.FLOAT_MODEL), config.events.input.bits
    assert config.firmware.rtl is not None
    started, facts = time.process_time(), {"name": name, "events": len(counts), "epochs": sum(options.epochs)}
    if name == CONTROL:
        model = train_control(
            model, counts, target, validation, compression, bits=bits, directory=folder, **shared
        ).model
    else:
        input_type = config.events.input.dtype
        result = compress(
            model, counts, target, validation, compression, input_type=input_type,
            directory=folder, measure=measure_of(config.firmware.rtl, input_type), **shared,
        )  # fmt: skip
        model = result.model
        network = extract(model, input_type=input_type)
        serialize.save(network, folder / "network.npz")
        save_model(model, folder / "model.h5")
        prediction = predicted(network, config.firmware.rtl)
        facts |= {
            "lut": prediction.total.lut,
            "latency_clocks": prediction.timing.latency,
            "interval": prediction.timing.interval,
            "sparsity": result.sparsity,
            "verdict": result.verdict and result.verdict.says,
        }
    test = sample.dataset[sample.splits.test]
    np.save(folder / "logits.npy", predict(model, test.counts, bits)[:, 0])
    write_json(folder / "point.json", facts | {"cpu_seconds": round(time.process_time() - started)})


def synthesized(folder: Path, config: ExperimentConfig) -> None:
    """Lookup tables of a point by Yosys."""
    assert config.firmware.rtl is not None
    project = design(serialize.load(folder / "network.npz"), config.firmware.rtl)
    found = synthesize(sources(project), TOP, part_named(config.firmware.rtl.part).family, timing=False)
    write_json(folder / "yosys.json", {"lut": found.total.lut, "ff": found.total.ff})


def auc(logits: Any, label: Any, resamples: Resamples) -> Any:
    """AUC of the sample and of each resample."""
    found, *_ = resamples.roc(logits, label == 1, np.zeros(len(label), dtype=np.int64), 1, 0.7)
    return found[0]


def table(sample: Sample, console: Console) -> None:
    """What there is, by lookup tables, as Markdown and as CSV."""
    test = sample.dataset[sample.splits.test]
    resamples = resample_showers(test.shower_id, test.label, 1000, 1)

    def judged(folder: Path) -> Any:
        return auc(np.load(folder / "logits.npy"), test.label, resamples)

    control = judged(RESULTS / CONTROL)
    rows = [json.loads(path.read_text()) for path in RESULTS.glob("*/point.json")]
    rows = sorted((row for row in rows if row["name"] != CONTROL), key=lambda row: row["lut"])
    console.print(f"control: AUC {control[0]:.4f}", highlight=False)
    lines = [
        "| network | LUT, predicted | LUT, Yosys | weights zero | AUC | minus control, 68 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        folder = RESULTS / row["name"]
        found = judged(folder)
        (difference,) = intervals(found - control, 0.68)
        measured = folder / "yosys.json"
        yosys = f"{json.loads(measured.read_text())['lut']:,}" if measured.exists() else ""
        row |= {"auc": found[0], "yosys": yosys.replace(",", "")}
        row |= {"difference": difference.value, "low": difference.low, "high": difference.high}
        lines.append(
            f"| {row['name']} | {row['lut']:,} | {yosys} | {row['sparsity']:.0%} | {found[0]:.4f} | "
            f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}) |"
        )
    console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)
    keys = ("name", "lut", "yosys", "sparsity", "auc", "difference", "low", "high", "cpu_seconds")
    text = "\n".join(",".join(str(row[key]) for key in keys) for row in rows)
    (RESULTS / "table.csv").write_text(f"{','.join(keys)}\n{text}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--every", type=int, default=1, help="train on every n-th event only")
    parser.add_argument("--epochs", type=int, nargs=2, default=(6, 8), help="of pruning and of fine-tuning")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of points; default: all")
    parser.add_argument("--synthesize", nargs="*", default=(), help="names of points for Yosys")
    parser.add_argument("--table", action="store_true", help="train nothing")
    options = parser.parse_args()
    console = Console()
    config = RunDirectory(options.run).config()
    sample = load_sample(Workspace(config, RunDirectory(options.run), Console(stderr=True)))
    uniform = [f"uniform-{bits}-{sparsity}" for bits, sparsity in UNIFORM]
    learned = [f"learned-{lut}" for lut in BUDGETS]
    # one of each kind after the other, so that an unfinished study can be compared
    pairs = [name for pair in zip(learned, uniform, strict=False) for name in pair]
    names = [CONTROL, *pairs, *uniform[len(learned) :]]
    for name in [] if options.table else options.only or names:
        if not (RESULTS / name / "point.json").exists():
            one_point(name, sample, options.run, options)
            console.print(json.loads((RESULTS / name / "point.json").read_text()))
    for name in options.synthesize:
        if not (RESULTS / name / "yosys.json").exists():
            synthesized(RESULTS / name, config)
    if (RESULTS / CONTROL / "point.json").exists():
        table(sample, console)


if __name__ == "__main__":
    main()

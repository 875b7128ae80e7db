"""Prediction against synthesis, and simulation against both, over a set of networks.

    python benchmarks/firmware.py               table of predicted and synthesized resources and clocks
    python benchmarks/firmware.py --calibrate   fit the cost of constant matrices again (minutes)

Both write JSON beside this file; ``--calibrate`` writes the coefficients into the package.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "firmware" / "rtl"))

from strategies import Builder, counts, resnet  # noqa: E402

from trigger_ml.core.config import RtlConfig  # noqa: E402
from trigger_ml.core.files import write_json  # noqa: E402
from trigger_ml.core.fixed_point import FixedPoint  # noqa: E402
from trigger_ml.firmware.cost.prediction import predict  # noqa: E402
from trigger_ml.firmware.cost.regression import COEFFICIENTS, features, fit  # noqa: E402
from trigger_ml.firmware.cost.synthesis import family_of, synthesize  # noqa: E402
from trigger_ml.firmware.ir.network import AveragePool2D, Conv2D, Flatten, GlobalAveragePool, MaxPool2D  # noqa: E402
from trigger_ml.firmware.rtl.arithmetic import apply  # noqa: E402
from trigger_ml.firmware.rtl.executable import compile_simulator  # noqa: E402
from trigger_ml.firmware.rtl.kernels import Source, make_kernel  # noqa: E402
from trigger_ml.firmware.rtl.project import TOP, design, sources  # noqa: E402
from trigger_ml.firmware.rtl.simulate import Simulator, _header  # noqa: E402

HEXAGON = np.array([[0, 1, 1], [1, 1, 1], [1, 1, 0]])


def cnn(size, filters, kernel, seed, sparsity, bits=5):
    b = Builder(np.random.default_rng(seed), (*size, 1), FixedPoint(False, 8, 8))
    x = "input"
    for width in filters:
        x = b.quantize(b.conv(x, width, (kernel, kernel), sparsity=sparsity), FixedPoint(False, bits, 3))
        x = b.add(MaxPool2D(b.name("pool"), (x,), (2, 2), (2, 2)))
    x = b.quantize(b.add(GlobalAveragePool("pool", (x,), 4)), FixedPoint(False, 8, 5))
    b.dense(x, 1, sparsity=0.0)
    return b.network()


def pooled(b, x):
    b.dense(b.quantize(b.add(GlobalAveragePool("pool", (x,), 4)), FixedPoint(False, 8, 5)), 1, sparsity=0.0)
    return b.network()


def depthwise(seed=30, size=(16, 16)):
    """Depthwise and pointwise convolutions, as in MobileNet."""
    b = Builder(np.random.default_rng(seed), (*size, 1), FixedPoint(False, 8, 8))
    x = b.quantize(b.conv("input", 6, sparsity=0.4))
    for width, stride in ((8, 1), (12, 2)):
        x = b.quantize(b.conv(x, 0, strides=(stride, stride), depthwise=True, sparsity=0.2))
        x = b.quantize(b.conv(x, width, (1, 1), sparsity=0.5))
    return pooled(b, x)


def large_kernel(seed=31):
    """A 5 x 5 stem with stride, then 3 x 3."""
    b = Builder(np.random.default_rng(seed), (24, 24, 2), FixedPoint(False, 6, 6))
    x = b.quantize(b.conv("input", 5, (5, 5), (2, 2), sparsity=0.7))
    return pooled(b, b.quantize(b.conv(x, 6, sparsity=0.6)))


def flattened(seed=32):
    """Strided convolutions, then two dense layers over all positions."""
    b = Builder(np.random.default_rng(seed), (12, 12, 1), FixedPoint(False, 8, 8))
    x = b.quantize(b.conv("input", 4, strides=(2, 2), sparsity=0.5))
    x = b.quantize(b.conv(x, 4, strides=(2, 2), same=False, sparsity=0.7))
    x = b.quantize(b.dense(b.add(Flatten("flat", (x,))), 8, sparsity=0.7))
    b.dense(x, 1, sparsity=0.0)
    return b.network()


def averaged(seed=33):
    """Average pooling, 'valid' padding and signed quantizers."""
    b = Builder(np.random.default_rng(seed), (18, 20, 1), FixedPoint(False, 8, 8))
    x = b.quantize(b.conv("input", 6, same=False, sparsity=0.5), FixedPoint(True, 6, 3))
    x = b.quantize(b.add(AveragePool2D("mean", (x,), (2, 2), (2, 2), 2)), FixedPoint(True, 6, 3))
    return pooled(b, b.quantize(b.conv(x, 8, sparsity=0.7), FixedPoint(False, 4, 2)))


def cases():
    """Networks that the prediction is judged on, with the configuration they are built with."""
    result = []
    for seed, (stem, stages, sparsity) in enumerate(
        [
            (4, ((4, 1),), 0.5), (4, ((6, 1),), 0.8), (6, ((6, 1),), 0.7), (4, ((4, 1), (8, 2)), 0.8),
            (6, ((6, 1), (8, 2)), 0.8), (8, ((8, 1),), 0.8), (4, ((8, 2),), 0.6), (3, ((3, 1), (3, 1)), 0.5),
        ]
    ):  # fmt: skip
        result.append((f"resnet{seed}", resnet((12, 12), stem, stages, (1, 1), seed, sparsity), RtlConfig()))
    for seed, (filters, kernel, sparsity) in enumerate(
        [((4, 8), 3, 0.5), ((6, 6), 3, 0.7), ((3, 6), 5, 0.8), ((8, 8), 3, 0.8)]
    ):
        result.append((f"cnn{seed}", cnn((16, 16), filters, kernel, seed, sparsity), RtlConfig()))
    for seed, lanes in enumerate((2, 4, 8)):
        network = resnet((16, 16), 4, ((4, 1), (6, 2)), (2, 2), 20 + seed, 0.7)
        result.append((f"resnet P={lanes}", network, RtlConfig(pixels_per_clock=lanes)))
    camera = resnet((48, 48), 4, ((6, 1), (8, 2)), (2, 2), 40, 0.7, mask=HEXAGON)
    result += [
        ("resnet P=16", resnet((16, 32), 3, ((4, 1),), (2, 2), 23, 0.7), RtlConfig(pixels_per_clock=16)),
        ("depthwise", depthwise(), RtlConfig()),
        ("5x5 stem", large_kernel(), RtlConfig()),
        ("flatten+dense", flattened(), RtlConfig()),
        ("average", averaged(), RtlConfig()),
        ("camera 48x48", camera, RtlConfig()),
        ("unrolled", resnet((6, 6), 2, ((2, 2),), (1, 1), 41, 0.7), RtlConfig(style="unrolled")),
    ]
    return result


def kernels(count, seed=1):
    """Random matrices like those of quantized, pruned layers, with the cost that alkaid finds."""
    rng = np.random.default_rng(seed)
    samples = []
    while len(samples) < count:
        inputs = int(rng.choice([1, 2, 4, 8, 8, 12, 16])) * int(rng.choice([1, 9, 9, 9, 25]))
        outputs = int(rng.choice([1, 2, 4, 8, 8, 12, 16, 16, 24]))
        weight_bits, input_bits = int(rng.integers(3, 9)), int(rng.integers(3, 9))
        limit = 1 << (weight_bits - 1)
        matrix = np.rint(rng.normal(0, limit * rng.choice([0.2, 0.35]), (inputs, outputs)))
        if rng.random() < 0.3:
            matrix = rng.integers(-limit, limit, (inputs, outputs))
        matrix = np.clip(matrix, -limit, limit - 1).astype(np.int64)
        sparsity = float(rng.choice([0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95]))
        if sparsity:
            matrix[np.abs(matrix) <= np.quantile(np.abs(matrix), sparsity)] = 0
        if not matrix.any() or np.count_nonzero(matrix) > 1500:
            continue
        kind = FixedPoint(True, weight_bits, 0)
        node = Conv2D("c", ("x",), matrix[None, None], kind, np.zeros(outputs, dtype=np.int64), kind)
        high = np.full(inputs, (1 << input_bits) - 1)
        kernel = make_kernel(
            "k", [Source(0 * high, high, 0)], [(inputs,)], lambda v, node=node: apply(node, v, [0]), 1
        )
        naive, x = features(matrix, float(input_bits))
        if naive > 0 and kernel.logic.cost > 0:
            samples.append((naive, x, kernel.logic.cost))
    return samples


def calibrate(count):
    samples = kernels(count)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(samples))
    held = set(order[: len(samples) // 5].tolist())
    result = fit([s for i, s in enumerate(samples) if i not in held])
    previous = json.loads(COEFFICIENTS.read_text()) if COEFFICIENTS.exists() else {}
    write_json(COEFFICIENTS, previous | result)
    print(f"{len(samples)} matrices, mean error on the fitted ones {result['kernel_error']:.1%}")


def without_kernels(files):
    """The same files with every kernel's arithmetic cut out; what is around it stays as it is."""
    cut = {}
    for name, text in files.items():
        if name.endswith("_kernel.v"):
            text = text.split(");\n")[0] + ");\n    assign model_out = 0;\nendmodule\n"
        cut[name] = text
    return cut


def clocks(project, network):
    """Initiation interval and latency of the generated modules, simulated without their arithmetic."""
    binary = compile_simulator(without_kernels(sources(project)), _header(project.pipeline, []))
    frames = Simulator(project, binary)(counts(np.random.default_rng(1), network, 6))
    return frames.interval, frames.latency


def compare(limit, simulate):
    rows = []
    for name, network, config in cases()[:limit]:
        start = time.perf_counter()
        predicted = predict(network, config)
        milliseconds = 1000 * (time.perf_counter() - start)
        project = design(network, config)
        found = synthesize(sources(project), TOP, family_of(config.part), timing=False)
        row = {
            "name": name,
            "milliseconds": milliseconds,
            "lut": found.total.lut,
            "predicted_lut": predicted.total.lut,
            "ff": found.total.ff,
            "predicted_ff": predicted.total.ff,
            "bram": found.total.bram,
            "dsp": found.total.dsp,
            "predicted_interval": predicted.timing.interval,
            "predicted_latency": predicted.timing.latency,
        }
        if simulate:
            row["interval"], row["latency"] = clocks(project, network)
        row["error"] = predicted.total.lut / found.total.lut - 1
        rows.append(row)
        print(
            f"{name:14} LUT {row['predicted_lut']:6} of {row['lut']:6} ({row['error']:+.1%})  "
            f"FF {row['predicted_ff']:6} of {row['ff']:6}  "
            f"II {row['predicted_interval']} of {row.get('interval')}  "
            f"latency {row['predicted_latency']} of {row.get('latency')}  {milliseconds:.0f} ms",
            flush=True,
        )
        write_json(HERE / "firmware.json", {"rows": rows})
    errors = np.abs([row["error"] for row in rows])
    print(f"{len(rows)} networks: mean error {errors.mean():.1%}, worst {errors.max():.1%}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calibrate", type=int, nargs="?", const=400, metavar="MATRICES")
    parser.add_argument("--networks", type=int, default=None, help="only the first so many")
    parser.add_argument("--no-simulation", action="store_true")
    arguments = parser.parse_args()
    if arguments.calibrate:
        calibrate(arguments.calibrate)
    else:
        compare(arguments.networks, not arguments.no_simulation)


if __name__ == "__main__":
    main()

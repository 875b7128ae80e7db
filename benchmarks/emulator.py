"""Events per second: compiled and ONNX emulator, float ONNX, QKeras, hls4ml C simulation of one network.

    python benchmarks/emulator.py [RUN]

RUN is a run directory made by ``trigger-ml run``. Without one, a network of the default topology is made
with random weights (48 x 48 pixels, half of the weights zero), which costs the same to evaluate. Prints a
table and writes ``benchmarks/results/emulator.json``. ``--scan`` also measures the default topology with
more and fewer weights that are zero.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from trigger_ml.core.config import HlsConfig, ModelConfig, QuantizationConfig
from trigger_ml.core.files import write_json
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.hls.csim import Csim
from trigger_ml.firmware.hls.project import HlsProject, write_project
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.ir.interpreter import logits
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import Affine
from trigger_ml.firmware.native.library import TARGETS as LIBRARY_TARGETS
from trigger_ml.firmware.native.library import NativeEmulator, best_target
from trigger_ml.firmware.onnx.emulator import Emulator, run_batches, session, write_emulator
from trigger_ml.firmware.toolchain import cxx, run_program
from trigger_ml.models.batches import predict
from trigger_ml.models.export import export_onnx
from trigger_ml.models.files import load_model

RESULTS = Path(__file__).parent / "results" / "emulator.json"
TARGETS = {"onnx": 12.0, "csim": 2000.0}
"""The compiled emulator over another engine, per second of a processor."""


@dataclass(frozen=True)
class Subject:
    """What is measured."""

    source: str
    network: Network
    model: Any
    emulator: Path
    float_onnx: Path
    project: HlsProject


def from_run(run: Path) -> Subject:
    project = HlsProject.open(run / "firmware" / "hls")
    model = load_model(run / "model" / "compressed" / "model.h5")
    network = serialize.load(run / "network" / "network.npz")
    onnx = run / "onnx"
    return Subject(str(run.name), network, model, onnx / "emulator.onnx", onnx / "float.onnx", project)


def default_network(size: int, seed: int, sparsity: float) -> tuple[Any, Any, Network]:
    """The default topology with random weights, a part of them zero: float model, twin and network."""
    from trigger_ml.compression.fold import fold_batch_norm
    from trigger_ml.compression.quantization import quantized_twin
    from trigger_ml.models.registry import build_model

    rng = np.random.default_rng(seed)
    input_type = FixedPoint(False, 8, 8)
    model = fold_batch_norm(build_model(ModelConfig(), (size, size, 1), "type", seed))
    for layer in model.layers:
        weights = layer.get_weights()
        layer.set_weights([w * (rng.random(w.shape) >= sparsity) if w.ndim > 1 else w for w in weights])
    calibration = rng.random((64, size, size, 1)).astype(np.float32)
    twin = quantized_twin(model, QuantizationConfig(), input_type, calibration)
    return model, twin, extract(twin, input_type=input_type)


def representative(folder: Path, size: int, seed: int, sparsity: float = 0.5) -> Subject:
    """What a network of the default topology costs."""
    model, twin, network = default_network(size, seed, sparsity)
    write_emulator(network, folder / "emulator.onnx")
    export_onnx(model, folder / "float.onnx")
    project = write_project(network, HlsConfig(), folder / "hls")
    name = f"default topology, {size} x {size}, random weights"
    return Subject(name, network, twin, folder / "emulator.onnx", folder / "float.onnx", project)


BOUND = """
#include "lanes.h"
MORE
#include <cstdio>
#include <ctime>
int main(int argc, char **) {
    // sums and factors that fit the registers, no two products alike; factors that the compiler cannot know
    V<std::uint16_t> sums[6] = {}, factors[6];
    for (int i = 0; i < 6; ++i) factors[i] = all<std::uint16_t>((std::uint16_t)(argc + 3 * i));
    const long turns = 30000000;
    const std::clock_t start = std::clock();
    V<std::uint16_t> v = factors[1];
    for (long n = 0; n < turns; ++n) {
        v += factors[0];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) sums[i] += MULTIPLY(v, factors[i]);
    }
    const double seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
    unsigned sum = 0;
    for (int i = 0; i < 6; ++i) for (int k = 0; k < kLanes; ++k) sum += sums[i][k];
    std::printf("%.6g %u", turns * 6.0 * kLanes * PRODUCTS / seconds, sum);
}
"""
# two products of bytes in one lane, which saturate, and one product of 16 bits
PAIRS = (
    "TML_INLINE V<std::uint16_t> both(V<std::uint16_t> a, V<std::uint16_t> b) {\n"
    "#if defined(__AVX512BW__)\n"
    "    return (V<std::uint16_t>)_mm512_maddubs_epi16((__m512i)a, (__m512i)b);\n"
    "#elif defined(__AVX2__)\n"
    "    return (V<std::uint16_t>)_mm256_maddubs_epi16((__m256i)a, (__m256i)b);\n"
    "#else\n"
    "    return (a & (std::uint16_t)255) * (b & (std::uint16_t)255) + (a >> 8) * (b >> 8);\n"
    "#endif\n}\n"
)


def machine() -> dict[str, float]:
    """Integer multiply-adds per second of a processor, without memory: the bound of emulators like ours."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lanes = files("trigger_ml.firmware.native").joinpath("lanes.h").read_text(encoding="utf-8")
        (folder / "lanes.h").write_text(lanes, encoding="utf-8")
        kinds = {
            "one by one": ("", "-DMULTIPLY(a,b)=((a)*(b))", 1),
            "in pairs": (PAIRS, "-DMULTIPLY=both", 2),
        }
        for kind, (more, multiply, products) in kinds.items():
            code = BOUND.replace("MORE", more)
            (folder / "bound.cpp").write_text(code, encoding="utf-8")
            options = ["-std=c++17", "-O3", "-Wno-psabi", *LIBRARY_TARGETS[best_target()], multiply]
            run_program(
                [cxx(), *options, f"-DPRODUCTS={products}", "bound.cpp", "-o", "bound"], folder, "g++"
            )
            found[kind] = float(run_program([folder / "bound"], folder, "the bound").split()[0])
    return found


def multiply_adds(network: Network) -> int:
    """Products with weights that are not zero, for each event."""
    total = 0
    for node in network.nodes:
        if isinstance(node, Affine):
            positions = int(np.prod(network.shapes[node.name][:-1]))
            total += positions * int(np.count_nonzero(node.kernel))
    return total


def _cpu() -> float:
    """Seconds of processors of this process and of its children: the C simulation is one."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def rates_by_turns(
    sides: dict[str, tuple[Callable[[NDArray[Any]], Any], NDArray[Any]]], rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Events per second, and per second of CPU time, of each side's fastest round.

    The sides take turns, so that other load on the host meets all of them.
    """
    best, best_cpu = dict.fromkeys(sides, np.inf), dict.fromkeys(sides, np.inf)
    for run, counts in sides.values():
        run(counts[: max(1, len(counts) // 4)])
    for _ in range(rounds):
        for name, (run, counts) in sides.items():
            start, start_cpu = time.perf_counter(), _cpu()
            run(counts)
            best[name] = min(best[name], time.perf_counter() - start)
            best_cpu[name] = min(best_cpu[name], _cpu() - start_cpu)
    return tuple({name: len(sides[name][1]) / t[name] for name in sides} for t in (best, best_cpu))


def measure(subject: Subject, events: int, csim_events: int, threads: int, seed: int) -> dict[str, Any]:
    network = subject.network
    dtype = network.input.dtype
    rng = np.random.default_rng(seed)
    counts = rng.integers(dtype.minimum, dtype.maximum, (events, *network.input.size), endpoint=True)
    counts = counts.astype(np.uint8 if dtype.maximum < 256 else np.uint16)
    values = counts.astype(np.float32) * np.float32(dtype.lsb)
    emulator = Emulator(subject.emulator, threads=threads)
    baseline = session(subject.float_onnx.read_bytes())
    baseline_outputs = [output.name for output in baseline.get_outputs()]
    start = os.times()
    with tempfile.TemporaryDirectory() as cache:
        native = NativeEmulator.compiled(network, threads=threads, cache=Path(cache))
    end = os.times()
    compiling = {
        "seconds": end.elapsed - start.elapsed,
        "cpu_seconds": end.children_user - start.children_user,
    }
    csim = Csim(subject.project)
    few = counts[:csim_events]
    expected, found = logits(network, few), [native.run(few), emulator.run(few), csim.run(few)]
    equal = all((result[name] == expected[name]).all() for result in found for name in expected)
    rates, cpu = rates_by_turns(
        {
            "native": (native.run, counts),
            "onnx": (emulator.values, counts),
            "float_onnx": (lambda x: run_batches(baseline, baseline_outputs, x, threads=threads), values),
        },
        rounds=7,
    )
    slow, slow_cpu = rates_by_turns(
        {
            "qkeras": (lambda x: predict(subject.model, x, dtype.fraction), counts),
            "interpreter": (lambda x: logits(network, x, threads=threads), counts[: events // 8]),
            "csim": (csim.run, few),
        },
        rounds=2,
    )
    rates, cpu = rates | slow, cpu | slow_cpu
    ratios = {name: cpu["native"] / cpu[name] for name in cpu if name != "native"}
    bounds, products = machine(), multiply_adds(network)
    return {
        "network": subject.source,
        "multiply_adds": products,
        "machine": bounds,
        "of_the_bound": {name: cpu["native"] * products / bound for name, bound in bounds.items()},
        "input": list(network.input.size),
        "parameters": sum(n.kernel.size + n.bias.size for n in network.nodes if hasattr(n, "kernel")),
        "events": events,
        "csim_events": csim_events,
        "threads": threads,
        "equal": equal,
        "processor": best_target(),
        "compiling": compiling,
        "events_per_second": rates,
        "events_per_cpu_second": cpu,
        "native_over": ratios,
        "targets": {name: {"at_least": t, "met": ratios[name] >= t} for name, t in TARGETS.items()},
        "host": {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "load_before": os.getloadavg()[0],
        },
    }


def show(result: dict[str, Any], console: Console) -> None:
    table = Table(title=result["network"])
    for column in ("backend", "events/s", "events/CPU s", "native / it (CPU)", "target"):
        table.add_column(column, justify="left" if column == "backend" else "right")
    for name, speed in result["events_per_second"].items():
        ratio = result["native_over"].get(name)
        target = result["targets"].get(name)
        told = f">= {target['at_least']:g} {'met' if target['met'] else 'MISSED'}" if target else ""
        cpu = f"{result['events_per_cpu_second'][name]:,.0f}"
        table.add_row(name, f"{speed:,.0f}", cpu, "" if ratio is None else f"{ratio:,.2f}", told)
    console.print(table)
    console.print(f"native, emulator and csim equal the interpreter bit for bit: {result['equal']}")
    took = result["compiling"]
    console.print(f"compiled for {result['processor']} in {took['cpu_seconds']:.1f} s of a processor")
    for kind, part in result["of_the_bound"].items():
        console.print(
            f"{100 * part:.0f} % of the machine's multiply-adds, {kind} ({result['machine'][kind]:.3g} / s)"
        )
    for row in result.get("scan", []):
        console.print(
            f"sparsity {row['sparsity']:.2f}: native {row['native']:,.0f}, "
            f"onnx {row['onnx']:,.0f} events/CPU s, "
            f"compiled in {row['compiling']:.1f} s"
        )


def scan(size: int, events: int, seed: int) -> list[dict[str, float]]:
    """The default topology with more and fewer weights that are zero, one thread."""
    rows = []
    for sparsity in (0.0, 0.5, 0.8, 0.95):
        with tempfile.TemporaryDirectory() as name:
            # no HLS project: writing and compiling it took most of the scan's time
            network = default_network(size, seed, sparsity)[2]
            write_emulator(network, Path(name) / "emulator.onnx")
            start = os.times()
            native = NativeEmulator.compiled(network, threads=1, cache=Path(name) / "cache")
            compiling = os.times().children_user - start.children_user
            emulator = Emulator(Path(name) / "emulator.onnx", threads=1)
            counts = np.random.default_rng(seed).integers(0, 256, (events, size, size, 1), dtype=np.uint8)
            output = network.outputs[0]
            np.testing.assert_array_equal(
                native.run(counts[:256])[output], emulator.run(counts[:256])[output]
            )
            sides = {"native": (native.run, counts), "onnx": (emulator.values, counts[: events // 8])}
            _, cpu = rates_by_turns(sides, rounds=5)
        rows.append({"sparsity": sparsity, "compiling": compiling, **cpu})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path, help="run directory")
    parser.add_argument("--size", type=int, default=48, help="image side without a run")
    parser.add_argument("--events", type=int, default=8192)
    parser.add_argument("--csim-events", type=int, default=100)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scan", action="store_true", help="other sparsities too")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.run is None:
            subject = representative(Path(folder), options.size, options.seed)
        else:
            subject = from_run(options.run)
        result = measure(subject, options.events, options.csim_events, options.threads, options.seed)
    if options.scan:
        result["scan"] = scan(options.size, options.events, options.seed)
    write_json(options.output, result)
    show(result, Console())


if __name__ == "__main__":
    main()

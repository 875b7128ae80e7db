"""Coefficients of the prediction's structure, fitted on networks that it is not judged on.

    python benchmarks/firmware_fit.py    synthesizes them with Yosys, module by module (tens of minutes)

Kernels and sliding windows are fitted apart, by non-negative least squares on their own cells; the
coefficients go into the package. ``firmware.py`` judges, on other networks.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from firmware import AveragePool2D, Builder, Flatten, MaxPool2D, cnn, pooled, resnet
from scipy.optimize import nnls

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.files import write_json
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.cost import synthesis
from trigger_ml.firmware.cost.ops import kernel_features
from trigger_ml.firmware.cost.prediction import predict, window_features
from trigger_ml.firmware.cost.regression import COEFFICIENTS
from trigger_ml.firmware.rtl.dataflow import SumModule, WindowModule
from trigger_ml.firmware.rtl.project import TOP, design, outline, sources
from trigger_ml.firmware.rtl.yosys import run_yosys, synthesis_command, write_files

# others of the series are too large to be synthesized in minutes, or have an empty map
USED = (0, 1, 2, 3, 4, 8, 11, 12, 13, 14)
UNROLLED = (7, 15)
# lookup tables that Yosys makes of one unit of alkaid's cost, from the kernels of the networks above
LUT_OF_COST = 1.04


def _layer(b, x, kind, filters, stride, sparsity, act, same):
    match kind:
        case "res":
            return b.residual(x, filters, (stride, stride), sparsity)
        case "max":
            return b.add(MaxPool2D(b.name("pool"), (x,), (2, 2), (2, 2)))
        case "avg":
            return b.quantize(b.add(AveragePool2D(b.name("pool"), (x,), (2, 2), (2, 2), 2)), act)
        case "dw":
            x = b.conv(x, 0, strides=(stride, stride), depthwise=True, sparsity=sparsity)
        case "point":
            x = b.conv(x, filters, (1, 1), sparsity=sparsity)
        case _:
            x = b.conv(x, filters, strides=(stride, stride), same=same(), sparsity=sparsity)
    return b.quantize(x, act)


def network(i):
    """Network ``i`` of the series, with its configuration."""
    r = np.random.default_rng(1000 + i)
    kind = i % 8
    lanes = 16 if kind == 6 else int(r.choice([1, 1, 1, 2, 4, 8]))
    height, width = int(r.integers(8, 28)), int(r.integers(16, 34))
    bits = int(r.choice([4, 6, 8, 10]))
    if kind == 7:
        size = int(r.integers(4, 7))
        stages = ((2, int(r.integers(1, 3))),)
        sparsity = float(r.choice([0.6, 0.8]))
        return resnet((size, size + 1), 2, stages, (1, 1), 1000 + i, sparsity), RtlConfig(style="unrolled")
    b = Builder(r, (height, width, int(r.choice([1, 1, 2]))), FixedPoint(False, bits, bits))
    size, sparsity = int(r.choice([3, 3, 5])), float(r.choice([0.3, 0.5, 0.7, 0.85]))
    act = FixedPoint(bool(r.random() < 0.2), int(r.integers(4, 8)), 3)
    stride = int(r.choice([1, 2]))
    filters = int(r.integers(2, 7))
    same = bool(r.random() < 0.7)
    x = b.quantize(
        b.conv("input", filters, (size, size), (stride, stride), same=same, sparsity=sparsity), act
    )
    for _ in range(int(r.integers(1, 4))):
        layer = r.choice(["conv", "res", "dw", "max", "avg", "point", "conv"])
        filters = int(r.integers(2, 11))
        filters = min(filters, 4) if lanes >= 8 else filters
        stride = int(r.choice([1, 1, 2]))
        sparsity = float(r.choice([0.3, 0.5, 0.7, 0.85]))
        x = _layer(b, x, layer, filters, stride, sparsity, act, lambda: bool(r.random() < 0.7))
    if kind == 5:
        x = b.quantize(b.conv(x, 2, strides=(2, 2), sparsity=0.5), act)
        if np.prod(b.shape(x)) < 200:
            units = int(r.integers(2, 9))
            x = b.quantize(b.dense(b.add(Flatten("flat", (x,))), units, sparsity=0.6), act)
            b.dense(x, 1, sparsity=0.0)
            return b.network(), RtlConfig(pixels_per_clock=lanes)
    made = pooled(b, x)
    return made, RtlConfig(pixels_per_clock=lanes, duty=float(r.choice([1, 1, 1, 0.5])))


def many_lanes():
    """Networks of which only the sliding windows are synthesized."""
    return [
        (resnet((8, 40), 3, ((4, 1),), (2, 2), 501, 0.6), RtlConfig(pixels_per_clock=16)),
        (resnet((8, 24), 3, ((4, 2),), (1, 1), 502, 0.6), RtlConfig(pixels_per_clock=8)),
        (cnn((16, 24), (3, 5), 5, 503, 0.8), RtlConfig(pixels_per_clock=8)),
        (cnn((16, 20), (4, 4), 3, 504, 0.7), RtlConfig(pixels_per_clock=4)),
    ]


def black_boxes(files):
    """The same files with kernels that are only ports, so that nothing around them is optimized away."""
    return {
        name: "(* blackbox *) " + text.split(");\n")[0] + ");\nendmodule\n" if "_kernel.v" in name else text
        for name, text in files.items()
    }


def own_cells(files, family):
    """Cost of each module without the modules in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = [write_files(files, folder), f"hierarchy -top {TOP}", synthesis_command(family, TOP)]
        run_yosys("\n".join([*script, "tee -q -o stat.json stat -json", ""]), folder, 3600)
        modules = json.loads((folder / "stat.json").read_text())["modules"]
    cells = {key.lstrip("\\"): synthesis._cells(value) for key, value in modules.items()}
    return {
        key: synthesis.cells_to_cost(
            {k: n for k, n in found.items() if k.lstrip("\\") not in cells and not k.endswith("_kernel")}
        )
        for key, found in cells.items()
    }


def main():
    kernels, windows = [], []
    for i, (made, config) in enumerate([*map(network, USED), *many_lanes()]):
        files = sources(design(made, config))
        if i >= len(USED):
            files = black_boxes(files)
        cells = own_cells(files, synthesis.family_of(config.part))
        for module in outline(made, config).modules[1:]:
            if i < len(USED) and f"{module.name}_kernel" in cells:
                lanes = module.source.lanes if isinstance(module, SumModule) else 1
                lut = cells[f"{module.name}_kernel"].lut
                kernels.append((*kernel_features(made, module.nodes, lanes), lut, max(lut, 30)))
            if isinstance(module, WindowModule):
                shell = cells[module.name].lut - cells[module.name].lut_memory
                windows.append((*window_features(made, module)[1], shell, max(shell, 60)))
        print(f"network {i}: {len(kernels)} kernels, {len(windows)} windows so far", flush=True)
    content = json.loads(COEFFICIENTS.read_text())
    for name, rows in (("kernel", kernels), ("window", windows)):
        table = np.array(rows, dtype=np.float64)
        weight = table[:, -1] ** -0.5
        solution, _ = nnls(table[:, :-2] * weight[:, None], table[:, -2] * weight)
        content[name] = [round(float(value), 4) for value in solution]
    content["unrolled"] = 1.0
    write_json(COEFFICIENTS, content)
    ratios = []
    for i in UNROLLED:
        made, config = network(i)
        cost = design(made, config).pipeline.modules[1].kernel.logic.cost
        predict.__globals__["_coefficients"].cache_clear()
        ratios.append(LUT_OF_COST * cost / predict(made, config).total.lut)
    content["unrolled"] = round(float(np.mean(ratios)), 4)
    write_json(COEFFICIENTS, content)
    print({key: content[key] for key in ("kernel", "window", "unrolled")})


if __name__ == "__main__":
    main()

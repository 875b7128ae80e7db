"""A table of models as others bring them: each backend is exact against the model as given, or refuses it."""

from collections import Counter

import numpy as np
import pytest
from model_table import ACTIVATIONS, ARCHITECTURES, HEADS, MODELS, TABLE, WEIGHTS, Case, all_at_once, build

from trigger_ml.core.config import HlsConfig, RtlConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.engines.keras import KerasBackend
from trigger_ml.firmware.engines.onnx import OnnxBackend
from trigger_ml.firmware.engines.rtl import RtlBackend
from trigger_ml.firmware.extract import extract
from trigger_ml.firmware.hls.csim import Csim
from trigger_ml.firmware.hls.project import preflight, write_project
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.ir.interpreter import logits
from trigger_ml.firmware.ir.ops import Lookup
from trigger_ml.firmware.native.library import NativeEmulator
from trigger_ml.firmware.onnx.writer import write_emulator
from trigger_ml.firmware.rtl.project import outline

INPUT = FixedPoint(False, 8, 8)
COUNTS = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 2))
COUNTS[0], COUNTS[1] = 0, 255
# some of all
QUICK = MODELS[::9]
# QKeras calls an initializer without a seed more than once
pytestmark = pytest.mark.filterwarnings("ignore:The initializer")


def equal(found, expected):
    return set(found) == set(expected) and all(
        np.array_equal(np.asarray(found[name]).reshape(values.shape), values)
        for name, values in expected.items()
    )


def test_the_table_is_large_and_holds_every_part():
    assert len(MODELS) >= 150
    for field, parts in (
        ("architecture", ARCHITECTURES),
        ("weights", WEIGHTS),
        ("activation", ACTIVATIONS),
        ("head", HEADS),
    ):
        assert set(Counter(getattr(case, field) for case in MODELS)) == set(parts)


def extracted(model):
    """The network, or None and why there is none."""
    try:
        return extract(model, input_type=INPUT), ""
    except MappingError as error:
        return None, str(error)


def check(case, folder):
    """Extraction, the interpreter against QKeras, ONNX, the file; RTL and HLS as far as it costs nothing."""
    model = build(case)
    network, refusal = extracted(model)
    if network is None:
        assert case.refusal is not None
        assert case.refusal in refusal
        assert refusal.startswith("layer ")
        return
    assert case.refusal in (None, TABLE)
    expected = logits(network, COUNTS)
    assert max(np.unique(values).size for values in expected.values()) > 2
    assert equal(KerasBackend(model, network).run(COUNTS), expected)
    write_emulator(network, folder / "e.onnx")
    assert equal(OnnxBackend(folder / "e.onnx", network, threads=1).run(COUNTS), expected)
    serialize.save(network, folder / "n.npz")
    again = serialize.load(folder / "n.npz")
    assert serialize.digest(again) == serialize.digest(network)
    assert again.metadata == network.metadata
    outline(network, RtlConfig())
    if any(isinstance(node, Lookup) for node in network.nodes):
        with pytest.raises(MappingError, match="tables of a function"):
            preflight(network, HlsConfig())
    else:
        preflight(network, HlsConfig())


@pytest.mark.parametrize("shape", [(6,), (4, 4, 2)], ids=["vector", "map"])
def test_every_quantizer_at_once(shape, tmp_path):
    model = all_at_once(shape)
    network = extract(model, input_type=INPUT)
    counts = np.random.default_rng(4).integers(0, 256, (40, *shape))
    expected = logits(network, counts)
    assert len(expected) == len(model.outputs) > 30
    assert min(np.unique(values).size for values in expected.values()) > 1
    found = KerasBackend(model, network).run(counts)
    write_emulator(network, tmp_path / "e.onnx")
    onnx = OnnxBackend(tmp_path / "e.onnx", network, threads=1).run(counts)
    different = [name for name in expected if not np.array_equal(found[name], expected[name])]
    assert different == []
    assert equal(onnx, expected)


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_exact_or_refused(case, tmp_path):
    check(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in MODELS if case not in QUICK], ids=str)
def test_exact_or_refused_the_rest(case, tmp_path):
    check(case, tmp_path)


COMPILED = (
    Case("inside", "bits, auto_po2", "relu, bounded, leaky", "type and energy"),
    Case("folded", "ternary", "ternary", "softmax of three"),
    Case("branches", "powers of two", "stochastic binary", "three outputs"),
    Case("residual", "bits, default", "bits, alpha 0.75, symmetric", "softmax of two"),
)


@pytest.mark.parametrize(
    ("case", "backend"),
    [
        pytest.param(
            case, backend, marks=() if backend == quick else pytest.mark.slow, id=f"{case} | {backend}"
        )
        for case, quick in zip(COMPILED, ("native", "rtl", "native", "rtl"), strict=True)
        for backend in ("native", "rtl", "rtl unrolled", "csim")
    ],
)
def test_what_is_compiled_is_exact(case, backend, tmp_path):
    network = extract(build(case), input_type=INPUT)
    if backend == "rtl unrolled" and len(network.outputs) > 1:
        with pytest.raises(MappingError, match="an unrolled network has one output"):
            outline(network, RtlConfig(style="unrolled"))
        return
    counts = COUNTS[:12]
    expected = logits(network, counts)
    if backend == "native":
        found = NativeEmulator.compiled(network, cache=tmp_path).run(counts)
    elif backend == "csim":
        project = write_project(network, HlsConfig(), tmp_path / "hls")
        script = project.directory / "build_lib.sh"
        script.write_text(script.read_text().replace("-O3", "-O0"))
        found = Csim(project).run(counts)
    else:
        config = RtlConfig(style="unrolled" if backend == "rtl unrolled" else "streaming")
        found = RtlBackend(network, config).run(counts)
    assert equal(found, expected)

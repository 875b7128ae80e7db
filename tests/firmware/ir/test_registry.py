"""Every op has an entry in every backend; one without is an error that names both."""

from dataclasses import dataclass

import numpy as np
import pytest

from trigger_ml.core.config import HlsConfig, RtlConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.cost.ops import PREDICTION, kernel_features
from trigger_ml.firmware.hls.model import KERAS_OF
from trigger_ml.firmware.hls.support import HLS, Setting
from trigger_ml.firmware.ir.interpreter import evaluate
from trigger_ml.firmware.ir.network import Flatten, Input, Network
from trigger_ml.firmware.ir.ops import NODE_TYPES, Node, Quantize
from trigger_ml.firmware.ir.registry import Refused, Registry
from trigger_ml.firmware.layers import KERAS
from trigger_ml.firmware.native.generate import TRANSLATIONS
from trigger_ml.firmware.onnx.nodes import ONNX
from trigger_ml.firmware.onnx.writer import build_emulator
from trigger_ml.firmware.rtl.arithmetic import ARITHMETIC
from trigger_ml.firmware.rtl.ops import STREAMING, UNROLLED
from trigger_ml.firmware.rtl.plan import plan
from trigger_ml.firmware.rtl.project import outline

TABLES = {
    "Keras extraction": KERAS,
    "ONNX": ONNX,
    "hls4ml": HLS,
    "the native emulator": TRANSLATIONS,
    "RTL arithmetic": ARITHMETIC,
    "RTL, streaming": STREAMING,
    "RTL, unrolled": UNROLLED,
    "the prediction of resources": PREDICTION,
    "the model for hls4ml": KERAS_OF,
}


@dataclass(frozen=True)
class Negated(Quantize):
    """An op that no backend knows, though its class derives from one that all know."""

    op = "negated"

    def evaluate(self, values, fractions):
        return -super().evaluate(values, fractions)


@pytest.fixture
def network():
    dtype = FixedPoint(True, 4, 2)
    nodes = (
        Input("input", (), dtype, (2, 2, 1)),
        Negated("minus", ("input",), dtype),
        Flatten("flat", ("minus",)),
    )
    return Network(nodes, ("flat",))


@pytest.mark.parametrize("backend", TABLES)
def test_every_op_has_an_entry_in_every_backend(backend):
    assert TABLES[backend].missing() == []


@pytest.mark.parametrize("backend", TABLES)
def test_an_op_without_entry_is_missed_by_name(backend):
    missing = TABLES[backend].missing({**NODE_TYPES, "negated": Negated})
    assert missing == [f"{backend} has no entry for the op negated"]


def test_an_op_that_only_the_interpreter_knows_is_evaluated(network):
    (values,) = (evaluate(network, np.array([[[[1], [2]], [[3], [4]]]]))["flat"],)
    assert values.tolist() == [[-1, -2, -3, -4]]


@pytest.mark.parametrize(
    ("backend", "use"),
    [
        ("ONNX", build_emulator),
        ("hls4ml", lambda n: HLS.of(n["minus"])(Setting(n, HlsConfig()), n["minus"])),
        ("the native emulator", lambda n: TRANSLATIONS.of(n["minus"])),
        ("RTL arithmetic", lambda n: outline(n, RtlConfig())),
        ("RTL, streaming", lambda n: plan(n, RtlConfig())),
        ("RTL, unrolled", lambda n: UNROLLED.of(n["minus"])),
        ("the prediction of resources", lambda n: kernel_features(n, (n["minus"],))),
    ],
)
def test_a_backend_that_meets_an_unknown_op_says_which(backend, use, network):
    with pytest.raises(
        MappingError, match=rf"layer minus \(negated\): {backend} has no entry for the op negated"
    ):
        use(network)


def test_a_refusal_says_why(network):
    table = Registry("sieve", {Negated: Refused("has no sign", "Use another sieve")})
    assert table.missing({"negated": Negated}) == []
    with pytest.raises(MappingError, match=r"layer minus \(negated\): has no sign\. Use another sieve"):
        table.of(network["minus"])


def test_an_op_that_does_not_say_what_it_computes_cannot_be_made():
    @dataclass(frozen=True)
    class Empty(Node):
        op = "empty"

    with pytest.raises(TypeError, match=r"bounds.*evaluate.*part.*partial_sums.*shape"):
        Empty("x", ())

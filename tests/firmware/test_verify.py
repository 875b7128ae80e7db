"""Verification: nothing found where all is equal, and every planted difference found where it is."""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score

from trigger_ml.core.config import VerifyConfig
from trigger_ml.core.documents.base import write
from trigger_ml.core.documents.verification import VERIFICATION
from trigger_ml.core.errors import StageError, VerificationError
from trigger_ml.core.fixed_point import OFF_GRID, FixedPoint
from trigger_ml.firmware.corners import corner_inputs, random_inputs
from trigger_ml.firmware.engines.base import Backend
from trigger_ml.firmware.engines.csim import CsimBackend
from trigger_ml.firmware.engines.keras import KerasBackend
from trigger_ml.firmware.engines.onnx import OnnxBackend
from trigger_ml.firmware.float_comparison import compare_with_float
from trigger_ml.firmware.ir import network as ir
from trigger_ml.firmware.ir.interpreter import evaluate, logits
from trigger_ml.firmware.onnx.emulator import write_emulator
from trigger_ml.firmware.verify import Check, require_equal, verify

CONFIG = VerifyConfig(random_corners=6, random_events=3000)


@dataclass
class Tampered(Backend):
    """The interpreter with one node's output changed where ``when`` says so."""

    network: ir.Network
    node: str
    amount: int = 1
    when: Any = lambda counts: np.ones(len(counts), bool)
    visible: bool = True
    name: str = "tampered"
    disturbance: Any = None

    def _evaluate(self, counts):
        network = self.network
        values = {network.input.name: np.asarray(counts).astype(np.int64)}
        for node in network.nodes[1:]:
            sources = [values[name] for name in node.inputs]
            values[node.name] = node.evaluate(sources, [network.bounds[n].fraction for n in node.inputs])
            if node.name == self.node:
                changed = values[node.name].reshape(len(counts), -1).copy()
                changed[self.when(counts), -1] += self.amount
                values[node.name] = changed.reshape(values[node.name].shape)
        return values

    def run(self, counts):
        values = self._evaluate(counts)
        return {name: values[name] for name in self.network.outputs}

    def taps(self, counts):
        return self._evaluate(counts) if self.visible else None


@pytest.fixture(scope="module")
def emulator(simulated, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "emulator.onnx"
    write_emulator(simulated.network, path)
    return path


@pytest.fixture(scope="module")
def counts(simulated, make):
    return make.counts(simulated.network, 120).astype(np.uint8)


def test_all_backends_agree(simulated, emulator, counts, tmp_path):
    backends = {
        "qkeras": KerasBackend(simulated.model, simulated.network),
        "onnx": OnnxBackend(emulator, simulated.network),
        "csim": CsimBackend(simulated.project, progress=False),
    }
    assert all(isinstance(backend, Backend) for backend in backends.values())
    limits = {"qkeras": None, "onnx": None, "csim": 50}
    rng = np.random.default_rng(1)
    reference = rng.normal(size=len(counts))
    labels = rng.integers(0, 2, len(counts))
    result = verify(
        simulated.network,
        counts,
        [Check(backend, limits[name]) for name, backend in backends.items()],
        CONFIG,
        seed=4,
        float_logits=reference,
        labels=labels,
    )
    require_equal(result)
    write(tmp_path / "verification.json", VERIFICATION, result)
    written = json.loads((tmp_path / "verification.json").read_text())
    assert written["events"] == 120
    assert written["corner_inputs"] > 30
    assert {name: (b["events"], b["mismatches"]) for name, b in written["backends"].items()} == {
        "qkeras": (120, 0),
        "onnx": (120, 0),
        "csim": (50, 0),
    }
    assert all(b["corner_inputs"] == written["corner_inputs"] for b in written["backends"].values())
    assert written["exact_float32"] is True
    assert [layer["layer"] for layer in written["proof"]] == [n.name for n in simulated.network.nodes]
    assert written["against_float"]["logit"]["source"] == "csim"
    assert written["against_float"]["logit"]["events"] == 50


def flip(path, constant, index, places):
    """Add one unit of the weight's last bit, as stored in the file."""
    model = onnx.load(path)
    tensor = next(t for t in model.graph.initializer if t.name == constant)
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[index] += np.float32(2.0**places)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("knows_network", [True, False])
@pytest.mark.parametrize("layer", ["stem", "b", "logit"])
def test_one_weights_last_bit_is_found_with_its_layer(simulated, counts, tmp_path, layer, knows_network):
    path = tmp_path / "emulator.onnx"
    network = simulated.network
    write_emulator(network, path)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}[
        f"{layer}/kernel"
    ]
    kernel = network[layer].kernel
    # units in which the file stores this layer's integers
    place = int(np.log2(np.abs(stored).max() / np.abs(kernel).max()))
    flip(path, f"{layer}/kernel", (0,) * stored.ndim, place)
    backend = OnnxBackend(path, network if knows_network else None)
    result = verify(network, counts, [Check(backend)], CONFIG, seed=4)
    outcome = result.backends["onnx"]
    assert outcome.mismatches > 0
    assert outcome.difference.layer == layer
    assert outcome.difference.expected != outcome.difference.found
    with pytest.raises(VerificationError, match=rf"onnx first differs in layer {layer}\["):
        require_equal(result)
    assert VerificationError.exit_code == 1


def test_a_weights_bit_that_changes_no_logit_is_found_too(simulated, counts, emulator, tmp_path):
    path = tmp_path / "emulator.onnx"
    path.write_bytes(emulator.read_bytes())
    model = onnx.load(path)
    tensor = next(t for t in model.graph.initializer if t.name == "a/kernel")
    values = onnx.numpy_helper.to_array(tensor).copy()
    # a weight of zero becomes 1.4e-45, which every sum swallows
    values.view(np.uint32)[tuple(np.argwhere(values == 0)[0])] ^= 1
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    path.write_bytes(model.SerializeToString())
    result = verify(simulated.network, counts, [Check(OnnxBackend(path, simulated.network))], CONFIG, seed=4)
    with pytest.raises(VerificationError, match=r"layer a: kernel\["):
        require_equal(result)


@pytest.mark.parametrize("node", ["stem", "a_q", "sum", "pool", "logit"])
def test_the_first_layer_and_both_values_are_named(simulated, counts, node):
    network = simulated.network
    amount = 3 if node == "logit" else 2 ** (network.bounds[node].dtype.width - 2)
    backend = Tampered(network, node, amount)
    result = verify(network, counts, [Check(backend)], CONFIG, seed=4)
    difference = result.backends["tampered"].difference
    assert difference.layer == node
    assert difference.event == "all zeros"
    assert difference.found - difference.expected == amount
    reference = evaluate(network, np.zeros((1, *network.input.size), int))[node][0]
    assert difference.expected == reference[difference.element]
    assert difference.expected_type == str(network.types[node])


def test_a_single_event_is_found_by_its_id(simulated, counts):
    target = counts[77]
    backend = Tampered(
        simulated.network, "logit", when=lambda c: (c == target).reshape(len(c), -1).all(axis=1)
    )
    ids = [f"run 3 event {1000 + i}" for i in range(len(counts))]
    result = verify(simulated.network, counts, [Check(backend)], CONFIG, seed=4, event_ids=ids)
    assert result.backends["tampered"].mismatches == 1
    assert result.backends["tampered"].difference.event == "run 3 event 1077"
    # the events beyond a check's number are not compared
    result = verify(simulated.network, counts, [Check(backend, 77)], CONFIG, seed=4)
    assert result.mismatches == 0


def test_a_backend_without_taps_and_one_with_a_memory(simulated, counts):
    blind = Tampered(simulated.network, "a", 2**10, visible=False)
    difference = (
        verify(simulated.network, counts, [Check(blind)], CONFIG, seed=4).backends["tampered"].difference
    )
    assert difference.layer == "logit"
    assert "cannot be seen" in difference.note
    # wrong only when many events run together
    stateful = Tampered(simulated.network, "logit", when=lambda c: np.arange(len(c)) > 0)
    result = verify(simulated.network, counts, [Check(stateful)], CONFIG, seed=4)
    assert result.mismatches == result.events + result.corner_inputs - 1
    assert "keeps a state" in result.backends["tampered"].difference.note


def test_a_value_between_two_integers_is_a_mismatch(simulated, counts):
    backend = Tampered(simulated.network, "logit")
    original = backend.run
    backend.run = lambda c: {"logit": np.full_like(original(c)["logit"], OFF_GRID)}
    result = verify(simulated.network, counts, [Check(backend)], CONFIG, seed=4)
    assert result.mismatches == result.events + result.corner_inputs


def test_a_missing_output_is_refused(simulated, counts):
    backend = Tampered(simulated.network, "logit")
    backend.run = lambda c: {}
    with pytest.raises(StageError, match="logit"):
        verify(simulated.network, counts, [Check(backend)], CONFIG, seed=4)


@pytest.mark.slow
def test_a_wrong_project_is_found_through_its_own_layers(simulated, counts):
    """A project of other weights: the C simulation's recorded layers tell where."""
    changed = simulated.network["a"]
    kernel = changed.kernel.copy()
    kernel[1, 1, 0, 0] += 1 if kernel[1, 1, 0, 0] < 0 else -1
    nodes = tuple(replace(n, kernel=kernel) if n is changed else n for n in simulated.network.nodes)
    network = ir.Network(nodes, simulated.network.outputs)
    backend = CsimBackend(simulated.project, simulated.network, simulated.config, progress=False)
    result = verify(network, counts, [Check(backend, 5)], CONFIG, seed=4)
    difference = result.backends["csim"].difference
    assert difference.layer == "a"
    assert difference.found_type.startswith("ap_fixed<")


def test_random_inputs_go_through_two_engines(simulated, emulator, counts):
    network = simulated.network
    native, onnx = Tampered(network, "", name="native"), OnnxBackend(emulator, network)
    result = verify(network, counts[:4], [Check(native), Check(onnx)], CONFIG, seed=4)
    require_equal(result)
    assert result.random_inputs.inputs == CONFIG.random_events
    assert result.random_inputs.mismatches == 0
    assert result.random_inputs.engines == ("native", "onnx")
    # one of them alone proves nothing
    assert verify(network, counts[:4], [Check(onnx)], CONFIG, seed=4).random_inputs is None

    # what no corner input and no event shows: a cell of one odd value
    def rare(x):
        return x[:, 2, 3, 0] == 77

    odd = Tampered(network, network.outputs[0], when=rare, name="native")
    result = verify(network, counts[:4], [Check(odd), Check(onnx)], CONFIG, seed=4)
    assert result.backends["native"].mismatches == 0
    assert 0 < result.random_inputs.mismatches == result.mismatches < 100
    assert result.random_inputs.difference.layer == network.outputs[0]
    assert result.random_inputs.difference.event.startswith("random input ")
    with pytest.raises(VerificationError, match="native and onnx differ in"):
        require_equal(result)


@pytest.mark.parametrize(
    "node",
    [
        ir.Input("x", (), FixedPoint(False, 8, 8), (12, 10, 2)),
        ir.Input("x", (), FixedPoint(True, 4, 0), (5,)),
        ir.Input("x", (), FixedPoint(True, 12, 0), (3, 3, 1)),
    ],
)
def test_random_inputs_span_the_type_and_are_of_all_kinds(node):
    values = random_inputs(node, 4001, np.random.default_rng(0))
    assert values.shape == (4001, *node.size)
    assert (values.min(), values.max()) == (node.dtype.minimum, node.dtype.maximum)
    extreme = np.isin(values, (node.dtype.minimum, node.dtype.maximum)).reshape(4001, -1).mean(axis=1)
    dark = (values == 0).reshape(4001, -1).mean(axis=1)
    assert extreme[1::4].mean() > 0.85 > 0.3 > extreme[0::4].mean()
    assert dark[2::4].mean() > 0.8
    np.testing.assert_array_equal(values, random_inputs(node, 4001, np.random.default_rng(0)))


def test_corner_inputs():
    node = ir.Input("x", (), FixedPoint(False, 8, 8), (12, 10, 2))
    counts, names = corner_inputs(node, random=7, seed=1)
    assert counts.shape == (len(names), 12, 10, 2)
    assert len(set(names)) == len(names)
    by_name = dict(zip(names, counts, strict=True))
    assert not by_name["all zeros"].any()
    assert (by_name["all maximum"] == 255).all()
    board, other = by_name["checkerboard"], by_name["checkerboard, other phase"]
    assert ((board + other) == 255).all()
    assert (np.abs(np.diff(board, axis=0)) == 255).all()
    assert (np.abs(np.diff(board, axis=1)) == 255).all()
    hot = [c for n, c in by_name.items() if n.startswith("hot")]
    assert all(np.count_nonzero(c) == 1 and c.max() == 255 for c in hot)
    where = {tuple(np.argwhere(c)[0]) for c in hot}
    assert {(0, 0, 0), (11, 9, 1), (0, 9, 0), (6, 5, 1)} <= where
    random = [c for n, c in by_name.items() if n.startswith("random")]
    assert len(random) == 7
    assert max(c.max() for c in random) == 255
    np.testing.assert_array_equal(corner_inputs(node, random=7, seed=1)[0], counts)
    assert (corner_inputs(node, random=7, seed=2)[0] != counts).any()


def test_corner_inputs_of_a_flat_signed_input():
    node = ir.Input("x", (), FixedPoint(True, 4, 0), (5,))
    counts, names = corner_inputs(node, random=2, seed=1)
    assert (counts[names.index("all minimum")] == -8).all()
    assert counts[names.index("checkerboard")].tolist() == [7, -8, 7, -8, 7]


def test_comparison_with_float():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 4000)
    reference = rng.normal(size=4000) + labels
    firmware = reference + rng.normal(scale=0.1, size=4000) + 0.05
    found = compare_with_float(firmware, reference, labels, source="csim", gamma_efficiency=0.7)
    d = firmware - reference
    assert found.mean == pytest.approx(d.mean())
    assert found.rms == pytest.approx(np.sqrt((d**2).mean()))
    assert found.maximum == pytest.approx(abs(d).max())
    assert found.percentiles["50"] == pytest.approx(np.median(d))
    assert found.correlation == pytest.approx(pearsonr(firmware, reference).statistic)
    assert found.auc == pytest.approx(roc_auc_score(labels, firmware))
    assert found.auc_float == pytest.approx(roc_auc_score(labels, reference))
    cuts = [np.sort(x[labels == 1])[::-1][int(0.7 * (labels == 1).sum())] for x in (firmware, reference)]
    expected = ((firmware >= cuts[0]) != (reference >= cuts[1])).sum()
    assert abs(found.flips - expected) <= 6  # events at the cut itself, between which it is interpolated
    # a constant shift moves no decision at a cut of its own, but does at the float model's
    shifted = compare_with_float(reference + 0.3, reference, labels)
    assert shifted.flips == 0
    assert shifted.flips_same_threshold > 100


def test_comparison_without_labels_or_events():
    found = compare_with_float([1.0, 2.0], [1.0, 1.0])
    assert (found.correlation, found.auc, found.flips) == (None, None, None)
    assert compare_with_float([], []).events == 0
    assert compare_with_float([1.0, 2.0], [1.0, 3.0], [1, 1]).auc is None


def test_logits_of_regression_heads_are_compared_each(make):
    network = next(n for n in map(make.network, range(100)) if len(n.outputs) == 2)
    counts = make.counts(network, 12)
    values = logits(network, counts)
    floats = np.concatenate([values[n] * 2.0 ** -network.types[n].fraction for n in network.outputs], axis=1)
    result = verify(network, counts, [], CONFIG, seed=1, float_logits=floats + 0.25)
    assert len(result.against_float) == 3
    assert all(c.mean == pytest.approx(-0.25) for c in result.against_float.values())
    assert all(c.source == "interpreter" for c in result.against_float.values())


def test_the_disturbance_of_a_simulation_is_recorded(make):
    network = make.network(3)
    plain, disturbed = (Tampered(network, "no such node", name=name) for name in ("onnx", "rtl_disturbed"))
    disturbed.disturbance = {"gap": 0.25, "stall": 0.5, "reset": 0.0, "seed": 1}
    result = verify(network, make.counts(network, 5), [Check(plain), Check(disturbed)], CONFIG, seed=1)
    assert result.backends["onnx"].disturbance is None
    assert result.backends["rtl_disturbed"].disturbance == disturbed.disturbance
    assert result.mismatches == 0

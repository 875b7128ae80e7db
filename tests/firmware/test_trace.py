"""One event through all backends: fractions by hand, and a changed emulator is found."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from trigger_ml.core.fixed_point import OFF_GRID, FixedPoint
from trigger_ml.firmware.engines.onnx import OnnxBackend
from trigger_ml.firmware.ir.interpreter import evaluate
from trigger_ml.firmware.ir.network import Conv2D, Flatten, Input, Network, Quantize
from trigger_ml.firmware.onnx.emulator import write_emulator
from trigger_ml.firmware.trace import REFERENCE, trace_event

TYPE = FixedPoint(True, 3, 1)


def tiny(dtype=TYPE):
    """Twice the input, quantized: every number can be had in the head."""
    kernel = np.full((1, 1, 1, 1), 2, dtype=np.int64)
    return Network(
        (
            Input("x", (), FixedPoint(False, 4, 1), (2, 3, 1)),
            Conv2D("twice", ("x",), kernel, FixedPoint(True, 4, 0), np.zeros(1, np.int64), TYPE),
            Quantize("q", ("twice",), dtype),
            Flatten("flat", ("q",)),
        ),
        ("flat",),
    )


COUNTS = np.array([[[0], [1], [2]], [[0], [15], [7]]])


class Fake:
    """A backend whose answers are the interpreter's, with one layer changed or hidden."""

    name = "fake"

    def __init__(self, network, change=None, hide=()):
        self.network, self.change, self.hide = network, change, hide

    def _values(self, counts):
        values = evaluate(self.network, counts)
        if self.change:
            layer, value = self.change
            values[layer] = values[layer].copy()
            values[layer].flat[0] = value
        return values

    def run(self, counts):
        return {name: self._values(counts)[name] for name in self.network.outputs}

    def taps(self, counts):
        return {k: v for k, v in self._values(counts).items() if k not in self.hide}


def test_fractions_by_hand():
    # counts 0 1 2 0 15 7 doubled are 0 2 4 0 30 14; fixed<3,2> holds -4 to 3, so 4, 30 and 14 become 3
    trace = trace_event(tiny(), [], COUNTS, "1/2/3")
    by_name = {layer.name: layer.seen[REFERENCE] for layer in trace.layers}
    assert (by_name["x"].low, by_name["x"].high) == (0, 15)
    assert by_name["x"].saturated == pytest.approx(1 / 6)  # the 15
    assert by_name["x"].zero == pytest.approx(2 / 6)
    assert (by_name["twice"].low, by_name["twice"].high, by_name["twice"].saturated) == (0, 30, None)
    assert (by_name["q"].low, by_name["q"].high) == (0, 3)
    assert by_name["q"].saturated == pytest.approx(3 / 6)
    assert trace.layers[2].real(by_name["q"].high) == 1.5
    assert trace.first_difference == {}


def test_zero_is_no_saturation_of_an_unsigned_type():
    trace = trace_event(tiny(FixedPoint(False, 2, 1)), [], COUNTS, "e")
    quantizer = trace.layers[2].seen[REFERENCE]
    assert quantizer.zero == pytest.approx(2 / 6)
    assert quantizer.saturated == pytest.approx(3 / 6)


def test_equal_backends(make, tmp_path):
    network = make.network(5)
    write_emulator(network, tmp_path / "e.onnx")
    (counts,) = make.counts(network, 3)[2:]
    trace = trace_event(network, [OnnxBackend(tmp_path / "e.onnx"), Fake(network)], counts, "e")
    assert trace.backends == (REFERENCE, "onnx", "fake")
    assert trace.first_difference == {}
    for layer in trace.layers:
        assert {"fake", REFERENCE} <= set(layer.seen)
        for seen in layer.seen.values():
            assert seen == layer.seen[REFERENCE]
    assert sum("onnx" in layer.seen for layer in trace.layers) > len(network.nodes) / 2


def test_the_first_layer_that_differs_is_marked():
    network = tiny()
    trace = trace_event(network, [Fake(network, ("q", 1))], COUNTS, "e")
    assert trace.first_difference == {"fake": "q"}
    assert [layer.differing for layer in trace.layers] == [(), (), ("fake",), ()]
    assert trace.layers[2].seen["fake"].differing == 1
    # a layer that the backend does not show is left to the ones behind it
    hidden = trace_event(network, [Fake(network, ("q", 1), hide=("q",))], COUNTS, "e")
    assert "fake" not in hidden.layers[2].seen
    assert hidden.first_difference == {}


def test_a_value_between_two_integers_differs():
    network = tiny()
    seen = trace_event(network, [Fake(network, ("q", OFF_GRID))], COUNTS, "e").layers[2].seen["fake"]
    assert (seen.low, seen.high, seen.differing) == (0, 3, 1)


def test_a_corrupted_emulator_is_marked_at_its_layer(make, tmp_path):
    network = make.network(5)
    target = next(node for node in network.nodes if isinstance(node, Conv2D))
    path = tmp_path / "e.onnx"
    write_emulator(network, path)
    model = onnx.load(path)
    changed = 0
    for tensor in model.graph.initializer:
        if tensor.name.startswith(target.name) and len(tensor.dims) == 4:
            values = numpy_helper.to_array(tensor) + 1.0
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
            changed += 1
    assert changed == 1
    onnx.save(model, path)
    counts = np.full(network.input.size, network.input.dtype.maximum)
    trace = trace_event(network, [OnnxBackend(path)], counts, "e")
    first = trace.first_difference["onnx"]
    order = [node.name for node in network.nodes]
    # the convolution itself, or the first layer behind it that the emulator shows
    hidden = order[order.index(target.name) : order.index(first)]
    assert all("onnx" not in layer.seen for layer in trace.layers if layer.name in hidden)
    assert order.index(first) >= order.index(target.name)


def test_the_dictionary_and_the_float_model_beside_it():
    floats = {"twice": np.array([[-0.25, 7.5]])}
    content = trace_event(tiny(), [], COUNTS, "1/2/3", floats).to_dict()
    layer = content["layers"][1]
    assert layer["float_range"] == [-0.25, 7.5]
    assert layer["backends"][REFERENCE]["real_high"] == 15.0
    assert content["layers"][2]["type_range"] == [-2.0, 1.5]
    assert content["layers"][0]["float_range"] is None

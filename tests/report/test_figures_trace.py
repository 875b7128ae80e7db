"""The figure of a traced event."""

from functools import partial

import numpy as np

from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.ir.network import Flatten, Input, Network, Quantize
from trigger_ml.firmware.trace import trace_event
from trigger_ml.report.figures_trace import trace_figure
from trigger_ml.report.style import LIGHT, save


class Wrong:
    name = "onnx"

    def run(self, counts):
        return {"flat": np.full((1, 4), 3)}

    def taps(self, counts):
        return None


def test_it_names_the_event_and_marks_the_first_difference(tmp_path):
    nodes = (
        Input("x", (), FixedPoint(False, 4, 2), (2, 2, 1)),
        Quantize("q", ("x",), FixedPoint(True, 3, 1)),
        Flatten("flat", ("q",)),
    )
    counts = np.array([[[0], [1]], [[2], [15]]])
    trace = trace_event(Network(nodes, ("flat",)), [Wrong()], counts, "4/5/6", {"q": [-0.5, 2.0]})
    content = trace.to_dict()
    drawing = trace_figure(content, LIGHT)
    left, right = drawing.axes
    assert drawing.get_suptitle() == "Event 4/5/6: onnx first differs in flat"
    labels = left.get_yticklabels()
    assert [label.get_text().split()[0] for label in labels] == ["x", "q", "flat"]
    assert [label.get_color() == LIGHT.compressed for label in labels] == [False, False, True]
    widths = [bar.get_width() for bar in right.patches]
    assert widths[:3] == [0.25, 0.5, 0.5]  # zeros: 0 of four counts, 0 and 1/4 after rounding to halves
    save("event", "", "", partial(trace_figure, content), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"event.png", "event.pdf"}

"""The verb `trace`: which event is meant, what the terminal shows, and a whole run."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from trigger_ml.core.errors import InputError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.ir.network import Flatten, Input, Network, Quantize
from trigger_ml.firmware.trace import trace_event
from trigger_ml.pipeline.trace import _row, print_trace, trace_run


class Events(SimpleNamespace):
    def __len__(self):
        return len(self.obs_id)


TEST = Events(
    obs_id=np.array([1, 1, 2, 2]), event_id=np.array([10, 11, 10, 10]), tel_id=np.array([1, 2, 1, 1])
)


def test_an_event_is_a_row_or_an_id():
    assert _row(TEST, "3") == 3
    assert _row(TEST, "1/11/2") == 1


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("4", "rows 0 to 3"),
        ("-1", "neither a row nor"),
        ("1/2", "neither a row nor"),
        ("1/12/1", "no such event"),
        ("2/10/1", "rows 2, 3 of the test set"),
    ],
)
def test_another_event_is_refused(event, message):
    with pytest.raises(InputError, match=message):
        _row(TEST, event)


class Wrong:
    name = "csim"

    def run(self, counts):
        return {"flat": np.array([[3, 1]])}

    def taps(self, counts):
        return {}


def test_the_table_marks_the_first_difference():
    nodes = (
        Input("x", (), FixedPoint(False, 4, 2), (1, 2, 1)),
        Quantize("q", ("x",), FixedPoint(True, 3, 1)),
        Flatten("flat", ("q",)),
    )
    trace = trace_event(Network(nodes, ("flat",)), [Wrong()], np.array([[[15], [1]]]), "1/2/3")
    text = io.StringIO()
    print_trace(trace, Console(file=text, width=60))
    lines = {line.split()[0]: line for line in text.getvalue().splitlines() if line.strip()}
    assert "0 … 1.5" in lines["q"]
    assert lines["q"].split()[-2:] == ["50.0", "50.0"]
    assert "·" in lines["q"]
    assert "csim first differs" not in lines["q"]
    assert "flat ← csim first differs" in lines["flat"]
    assert "differ)" not in lines["q"]


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match=r"manifest\.json"):
        trace_run(tmp_path, "0", None, Console(file=io.StringIO()))


def test_a_run_without_firmware(tmp_path):
    from trigger_ml.core.config import ExperimentConfig

    content = {"config": ExperimentConfig(name="x").model_dump(mode="json")}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="no firmware"):
        trace_run(tmp_path, "0", None, Console(file=io.StringIO()))

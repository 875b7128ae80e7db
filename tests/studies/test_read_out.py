import json

import pytest
from typer.testing import CliRunner

from trigger_ml.cli import app
from trigger_ml.core.documents.base import read
from trigger_ml.core.documents.queue import QUEUE
from trigger_ml.core.errors import ConfigError, StageError
from trigger_ml.studies.read_out import NetworkClocks

PART = {"name": "x", "device": "x", "family": "x", "lut": 1, "ff": 1, "bram": 1, "dsp": 1}


@pytest.fixture
def run(tmp_path):
    clocks = [
        {"source": "clock model", "tool": "model", "interval": 600, "latency": 700},
        {"source": "simulation", "tool": "Verilator", "interval": 576, "latency": 714, "frames": 8},
    ]
    project = {
        "part": PART,
        "clock_period_ns": 4.0,
        "figures": [],
        "timing": [],
        "not_run": [],
        "clocks": clocks,
    }
    (tmp_path / "resources.json").write_text(json.dumps({"schema": 1, "rtl": project}))
    return tmp_path


def test_counted_clocks_come_before_predicted_ones(run):
    found = NetworkClocks.choose(run, None, None, None)
    assert (found.interval, found.latency, found.mhz) == (576, 714, 250)
    assert "simulation, Verilator" in found.source
    given = NetworkClocks.choose(run, 100, None, 125.0)
    assert (given.interval, given.latency, given.mhz) == (100, 714, 125)


def test_what_is_missing_is_said(run):
    with pytest.raises(ConfigError, match="--latency, --clock: not known without a run"):
        NetworkClocks.choose(None, 100, None, None)
    with pytest.raises(ConfigError, match="--clock: is 0"):
        NetworkClocks.choose(run, None, None, 0.0)
    content = json.loads((run / "resources.json").read_text())
    content["rtl"]["clocks"] = []
    (run / "resources.json").write_text(json.dumps(content))
    with pytest.raises(StageError, match="knows no clocks"):
        NetworkClocks.choose(run, None, None, None)


def test_the_verb_leaves_a_row_for_each_rate(run):
    output = run / "queue.json"
    words = ["queue", str(run), "--events", "20000", "--rate", "1e4", "--rate", "1e6", "-o", str(output)]
    done = CliRunner().invoke(app, [*words, "--depth", "4", "--ring", "4000", "--accepted", "0.1"])
    assert done.exit_code == 0, done.output
    found = read(output, QUEUE)
    assert [row.rate for row in found.rows] == [1e4, 1e6]
    assert found.rows[0].full.value < 0.01 < found.rows[1].full.value
    # the network takes what it can
    assert found.rows[1].network_rate == pytest.approx(250e6 / 576, rel=0.01)
    again = CliRunner().invoke(app, [*words, "--depth", "4", "--ring", "4000", "--accepted", "0.1"])
    assert again.exit_code == 0
    assert read(output, QUEUE) == found

import json

import pytest

from trigger_ml.core.documents.base import plain
from trigger_ml.core.documents.resources import Clocks, NotRun, ResourceFigure, TimingFigure
from trigger_ml.core.errors import VerificationError
from trigger_ml.firmware.cost.prediction import Prediction
from trigger_ml.firmware.cost.resources import (
    found_of,
    predicted,
    require_equal_clocks,
    synthesized,
)
from trigger_ml.firmware.cost.synthesis import Cost, Synthesis
from trigger_ml.firmware.rtl.timing import Timing

PART = "xc7z020clg400-1"


@pytest.fixture
def project():
    prediction = Prediction(Cost(lut=1000, ff=500), {"conv": Cost(lut=1000, ff=500)}, Timing(10, 20, 21), 0.1)
    synthesis = Synthesis("xc7", Cost(lut=1064, ff=532, carry=3), {"conv": Cost(lut=1064)}, 3.0, "yosys 1")
    return predicted(prediction, PART, 4.0) + synthesized(synthesis, "synthesis: yosys", PART, 4.0)


def test_every_figure_has_source_and_tool(project):
    content = plain(project)
    assert json.loads(json.dumps(content)) == content
    for entry in (*content["figures"], *content["clocks"], *content["timing"]):
        assert entry["source"]
        assert entry["tool"]
    sources = [f["source"] for f in content["figures"] if f["layer"] == "total"]
    assert sources == ["prediction", "synthesis: yosys"]
    holds = {"lut": 53_200, "ff": 106_400, "bram": 140, "dsp": 220}
    assert content["part"] == {"name": PART, "device": "xc7z020", "family": "xc7", **holds}


def test_the_prediction_has_its_interval_and_its_error(project):
    content = plain(project)
    assert (content["figures"][0]["lut_low"], content["figures"][0]["lut_high"]) == (900, 1100)
    assert content["predicted_lut_error"] == 0.1


def test_share_and_slack(project):
    content = plain(project)
    assert content["figures"][2]["lut_percent"] == 2.0
    assert content["figures"][2]["ff_percent"] == 0.5
    (timing,) = content["timing"]
    assert (timing["kind"], timing["arrival_ns"], timing["slack_ns"]) == ("pre-route arrival", 3.0, 1.0)
    assert "no routing" in timing["note"]


def test_what_is_not_known_is_absent_not_zero():
    found = plain(
        found_of(
            "10AX115",
            4.0,
            (ResourceFigure("total", "synthesis: vitis_hls", "vitis_hls 2023.2", lut=10),),
            not_run=(NotRun("synthesis: vivado", "vivado is not on PATH", "vivado"),),
        )
    )
    # neither the part's resources nor the other figures
    assert found["part"] == {"name": "10AX115"}
    assert found["figures"] == [
        {"layer": "total", "source": "synthesis: vitis_hls", "tool": "vitis_hls 2023.2", "lut": 10}
    ]
    assert found["clocks"] == found["timing"] == []
    assert found["not_run"] == [
        {"source": "synthesis: vivado", "reason": "vivado is not on PATH", "tool": "vivado"}
    ]


def test_a_figure_for_another_part_takes_no_share_of_the_projects():
    figure = ResourceFigure(
        "total", "implementation: quartus", "Quartus Prime 20.1", lut=100, part="10CX220YF780E5G"
    )
    (content,) = plain(found_of(PART, 4.0, (figure,)))["figures"]
    assert content["part"] == "10CX220YF780E5G"
    assert "lut_percent" not in content


def test_a_missed_clock_has_a_negative_slack():
    timing = TimingFigure("a", "b", "post-route slack", slack_ns=-0.1)
    assert plain(found_of(PART, 4.0, timing=(timing,)))["timing"][0]["slack_ns"] == -0.1


@pytest.mark.parametrize(("interval", "latency", "name"), [(11, 20, "interval"), (10, 19, "latency")])
def test_clocks_that_differ_are_an_error(interval, latency, name):
    model = Clocks("clock model", "x", 10, 20)
    require_equal_clocks(model, Clocks("simulation", "y", 10, 20, 8))
    with pytest.raises(VerificationError, match=f"RTL simulation, {name}: .* clocks instead of the"):
        require_equal_clocks(model, Clocks("simulation", "y", interval, latency, 8))

import numpy as np
import pytest
from strategies import counts, resnet, small

from trigger_ml.core.config import RtlConfig, SynthesisConfig
from trigger_ml.core.documents.base import plain
from trigger_ml.core.errors import InputError, MappingError, VerificationError
from trigger_ml.firmware.cost import rtl_project as flow
from trigger_ml.firmware.cost.rtl_project import build_rtl, check_fit, measure_rtl, simulated_clocks
from trigger_ml.firmware.rtl.timing import Timing


@pytest.fixture(scope="module")
def network():
    return small()


@pytest.fixture(scope="module")
def x(network):
    return counts(np.random.default_rng(0), network, 3)


@pytest.fixture(scope="module")
def written(network, x, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written") / "rtl"
    return build_rtl(network, RtlConfig(), x, folder), folder


def test_a_part_that_is_too_small_is_refused_before_anything_is_written(tmp_path):
    network = resnet((32, 32), 32, ((64, 1), (64, 1)), sparsity=0.0)
    config = RtlConfig(part="xc7z020clg400-1", pixels_per_clock=16)
    with pytest.raises(MappingError, match=r"part xc7z020: the design does not fit \(prediction\): LUT"):
        build_rtl(network, config, np.zeros((1, 32, 32, 1), int), tmp_path / "rtl")
    assert not (tmp_path / "rtl").exists()


def test_the_prediction_is_given(network):
    assert check_fit(network, RtlConfig()).total.dsp == 0


def test_clocks_are_measured_on_the_written_files(network, x, written):
    project, folder = written
    clocks = simulated_clocks(network, RtlConfig(), folder, x, 8)
    assert (clocks.interval, clocks.latency) == (project.timing.interval, project.timing.latency)
    assert (clocks.source, clocks.frames) == ("simulation", 8)
    assert clocks.tool.startswith("Verilator 5")


def test_a_project_of_another_configuration_is_not_measured(network, x, written, tmp_path):
    with pytest.raises(InputError, match=r"another firmware\.rtl"):
        simulated_clocks(network, RtlConfig(pixels_per_clock=2), written[1], x, 8)
    with pytest.raises(InputError, match="no RTL project"):
        simulated_clocks(network, RtlConfig(), tmp_path, x, 8)


def test_measured_without_synthesis(network, x, written, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "trigger_ml.firmware.cost.vendor.available", lambda: {"vivado": None, "quartus": None}
    )
    settings = SynthesisConfig(tool=None)
    found = plain(measure_rtl(network, RtlConfig(), settings, written[1], x, tmp_path))
    assert {f["source"] for f in found["figures"]} == {"prediction"}
    assert [c["source"] for c in found["clocks"]] == ["clock model", "simulation"]
    assert found["clocks"][0]["latency"] == found["clocks"][1]["latency"]
    reasons = {entry["source"]: entry["reason"] for entry in found["not_run"]}
    assert reasons == {
        "synthesis: yosys": "firmware.synthesis.tool is null",
        "implementation: quartus": "no firmware.synthesis.quartus_part is given",
        "synthesis: vivado": "vivado is not on PATH",
    }


def test_a_simulation_that_takes_other_clocks_is_an_error(network, x, written, tmp_path, monkeypatch):
    prediction = check_fit(network, RtlConfig())
    wrong = Timing(prediction.timing.interval, prediction.timing.latency + 1, 0)
    monkeypatch.setattr(
        flow, "check_fit", lambda *_: type(prediction)(prediction.total, prediction.modules, wrong, 0.1)
    )
    with pytest.raises(VerificationError, match="RTL simulation, latency"):
        measure_rtl(network, RtlConfig(), SynthesisConfig(tool=None), written[1], x, tmp_path)


@pytest.mark.slow
def test_measured_with_synthesis(network, x, written, tmp_path):
    found = plain(measure_rtl(network, RtlConfig(), SynthesisConfig(vendor=False), written[1], x, tmp_path))
    by_layer = {f["layer"]: f for f in found["figures"] if f["source"] == "synthesis: yosys"}
    assert {"total", "layer_conv1", "layer_conv3", "layer_flat", "layer_dense6"} <= set(by_layer)
    # the top only wires its stages, but for a few gates of the handshakes
    below = sum(f["lut"] for layer, f in by_layer.items() if layer != "total")
    assert below <= by_layer["total"]["lut"] <= below + 20
    prediction = next(f for f in found["figures"] if f["source"] == "prediction" and f["layer"] == "total")
    assert 0.5 < prediction["lut"] / by_layer["total"]["lut"] < 2
    (timing,) = found["timing"]
    assert 0.5 < timing["arrival_ns"] < 20
    assert timing["slack_ns"] == pytest.approx(4.0 - timing["arrival_ns"])

import json

import numpy as np
import pytest
from strategies import counts, resnet, small

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.errors import InputError, MappingError
from trigger_ml.firmware.rtl.flow import build_rtl, check_fit, run_vendor


def test_the_project_says_what_it_costs(tmp_path):
    network = small()
    x = counts(np.random.default_rng(0), network, 2)
    project = build_rtl(network, RtlConfig(), x, tmp_path / "rtl", synthesis=False)
    resources = json.loads((tmp_path / "rtl" / "resources.json").read_text())
    assert resources["clocks"]["latency"] == project.timing.latency
    assert resources["part"]["name"] == "xcku115"
    assert {f["source"] for f in resources["figures"]} == {"prediction"}


def test_a_part_that_is_too_small_is_refused_before_anything_is_written(tmp_path):
    network = resnet((32, 32), 32, ((64, 1), (64, 1)), sparsity=0.0)
    config = RtlConfig(part="xc7z020clg400-1", pixels_per_clock=16)
    with pytest.raises(MappingError, match=r"part xc7z020: the design does not fit \(prediction\): LUT"):
        build_rtl(network, config, np.zeros((1, 32, 32, 1), int), tmp_path / "rtl")
    assert not (tmp_path / "rtl").exists()


def test_the_prediction_is_given(tmp_path):
    assert check_fit(small(), RtlConfig()).total.dsp == 0


def test_vivado_is_not_pretended(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_vendor(tmp_path) is None


def test_vivado_without_reports_is_an_error(tmp_path, monkeypatch):
    tool = tmp_path / "vivado"
    tool.write_text("#!/bin/sh\nexit 0\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(InputError, match="left no such report"):
        run_vendor(tmp_path)

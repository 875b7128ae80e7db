import importlib.util
import json

import numpy as np
import pytest

from trigger_ml.core.config import RtlConfig, SynthesisConfig
from trigger_ml.core.documents.base import plain
from trigger_ml.core.errors import InputError, MappingError, ToolMissingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.cost import place_and_route as pnr
from trigger_ml.firmware.ir import network as ir

PART = "LFE5U-85F-6BG381C"


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(pnr.importlib.util, "find_spec", lambda name: object())


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("part", "arguments"),
    [
        (PART, ["--85k", "--speed", "6", "--package", "CABGA381"]),
        ("lfe5u-45f-8mg285c", ["--45k", "--speed", "8", "--package", "CSFBGA285"]),
    ],
)
def test_the_ordering_code_selects_the_part(part, arguments):
    assert pnr.check(part) == arguments


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("part", ["xcku115-flvb2104-2-i", "lfe5u-85f", "lfe5u-12f-6bg381c"])
def test_other_parts_are_refused(part):
    with pytest.raises(MappingError, match="ordering code like LFE5U-85F"):
        pnr.check(part)


def test_the_absent_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(pnr.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolMissingError, match=r"trigger-ml\[pnr\]"):
        pnr.check(PART)


def test_the_report_is_read(tmp_path):
    cells = {"TRELLIS_COMB": 120, "TRELLIS_FF": 60, "DP16KD": 1, "MULT18X18D": 0}
    report = {
        "fmax": {"$glbnet$aclk": {"achieved": 101.5, "constraint": 250.0}},
        "utilization": {name: {"available": 1000, "used": used} for name, used in cells.items()},
    }
    path = tmp_path / "nextpnr.json"
    path.write_text(json.dumps(report))
    found = pnr.read_report(path, "nextpnr")
    assert found == pnr.Routed("nextpnr", 101.5, lut=120, ff=60, bram=1, dsp=0)
    for broken in ({**report, "fmax": {}}, {**report, "utilization": {}}, []):
        path.write_text(json.dumps(broken))
        with pytest.raises(InputError, match="known form"):
            pnr.read_report(path, "nextpnr")


def tiny():
    """One convolution, quantized, and a dense layer on a 4 x 4 image."""
    rng = np.random.default_rng(1)
    weight, bias = FixedPoint(True, 3, 2), FixedPoint(True, 4, 3)
    nodes = (
        ir.Input("counts", (), FixedPoint(False, 3, 3), (4, 4, 1)),
        ir.Conv2D(
            "conv", ("counts",), rng.integers(-3, 4, (3, 3, 1, 2)), weight, rng.integers(-4, 4, 2), bias
        ),
        ir.Quantize("conv_q", ("conv",), FixedPoint(False, 3, 2)),
        ir.GlobalAveragePool("pool", ("conv_q",), 2),
        ir.Dense("logit", ("pool",), rng.integers(-3, 4, (2, 1)), weight, rng.integers(-4, 4, 1), bias),
    )
    return ir.Network(nodes, ("logit",))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec(pnr.PACKAGE) is None, reason="the extra pnr is not installed")
def test_a_tiny_network_is_placed_and_routed(tmp_path):
    from trigger_ml.firmware.cost.rtl_project import build_rtl, measure_rtl

    network, config = tiny(), RtlConfig(part=PART, clock_period=10.0)
    x = np.random.default_rng(0).integers(0, 8, (4, 4, 4, 1))
    build_rtl(network, config, x, tmp_path / "rtl")
    settings = SynthesisConfig(place_and_route=True, vendor=False)
    found = plain(measure_rtl(network, config, settings, tmp_path / "rtl", x, tmp_path / "work"))
    (timing,) = found["timing"]
    assert timing["source"] == "place and route: nextpnr-ecp5"
    assert timing["kind"] == "post-route fmax"
    assert 30 < timing["fmax_mhz"] < 500
    assert timing["slack_ns"] == pytest.approx(10 - 1000 / timing["fmax_mhz"], abs=2e-3)
    totals = {f["source"]: f for f in found["figures"] if f["layer"] == "total"}
    assert totals["place and route: nextpnr-ecp5"]["ff"] == totals["synthesis: yosys"]["ff"] > 0
    assert (tmp_path / "work" / "nextpnr.log").exists()

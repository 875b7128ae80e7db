"""Report parsers on the layouts of several versions."""

import pytest
from vendor_reports import CSYNTH, HIERARCHY, QUARTUS_FIT, QUARTUS_STA, TIMING, VIVADO_2020, VIVADO_2022

from trigger_ml.core.documents.resources import NotRun, Resources
from trigger_ml.core.errors import InputError, StageError
from trigger_ml.firmware.cost import vendor
from trigger_ml.firmware.cost.resources import found_of


def test_vivado_2020_utilization():
    report = vendor.parse_vivado_utilization(VIVADO_2020)
    assert (report.lut, report.ff, report.bram, report.dsp) == (4321, 2222, 1.5, 7)


def test_vivado_2022_utilization():
    report = vendor.parse_vivado_utilization(VIVADO_2022)
    assert (report.lut, report.ff, report.bram, report.dsp) == (164154, 200691, 2.5, 0)


@pytest.mark.parametrize("lost", ["Slice LUTs", "Slice Registers", "Block RAM Tile", "DSPs", "Site Type"])
def test_a_utilization_report_without_a_row_is_refused(lost):
    with pytest.raises(InputError, match="no row"):
        vendor.parse_vivado_utilization(VIVADO_2020.replace(lost, "Something else"))


def test_a_used_column_without_number_is_refused():
    with pytest.raises(InputError, match="no number for Slice LUTs"):
        vendor.parse_vivado_utilization(VIVADO_2020.replace("| 4321 |", "|  n/a |"))


@pytest.mark.parametrize("dsp", ["DSP Blocks", "DSP48 Blocks"])
def test_hierarchy(dsp):
    found = vendor.parse_vivado_hierarchy(HIERARCHY.replace("DSP Blocks", dsp))
    assert set(found) == {"conv1", "pool"}
    conv1 = found["conv1"]
    assert (conv1.lut, conv1.ff, conv1.bram, conv1.dsp) == (70, 50, 1.5, 2)


@pytest.mark.parametrize("lost", ["FFs", "RAMB18", "Instance", "|   conv1_stage"])
def test_an_unknown_hierarchy_is_refused(lost):
    text = HIERARCHY.replace(lost, "Something").replace("|   pool_stage", "| pool_stage")
    with pytest.raises(InputError, match="in a known form"):
        vendor.parse_vivado_hierarchy(text)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("| Tool Version : Vivado v.2020.1 (lin64) Build 2902540", "Vivado v.2020.1"),
        ("<profile><ReportVersion><Version>2023.2</Version></ReportVersion></profile>", "2023.2"),
        ("; Quartus Prime Version ; Version 18.1.0 Build 625 09/12/2018 SJ Standard Edition ;", "18.1.0"),
        ("; Quartus Prime Version ; 20.1.0 Build 711 06/05/2020 SJ Lite Edition ;", "20.1.0"),
        ("nothing", "version not stated in the report"),
    ],
)
def test_version(text, version):
    assert vendor.version_in(text) == version


def test_a_tool_that_appeared_is_found(tmp_path, monkeypatch):
    rtl = found_of("xc7z020clg400-1", 4.0, not_run=(NotRun("synthesis: vivado", "absent", "vivado"),))
    hls = found_of("xc7z020clg400-1", 4.0, not_run=(NotRun("synthesis: vitis_hls", "off"),))
    resources = Resources(rtl, hls)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert vendor.absent_now_present(resources) == []
    fake_tool(tmp_path, monkeypatch, "exit 0")
    assert vendor.absent_now_present(resources) == ["vivado"]
    assert vendor.absent_now_present(Resources(hls=hls)) == []


def test_timing():
    assert vendor.parse_vivado_timing(TIMING).wns == -0.125


@pytest.mark.parametrize("text", ["", TIMING.replace("WNS(ns)", "Slack"), TIMING.replace("-0.125", "    NA")])
def test_an_unknown_timing_report_is_refused(text):
    with pytest.raises(InputError, match="in a known form"):
        vendor.parse_vivado_timing(text)


@pytest.mark.parametrize("dsp", ["DSP", "DSP48E"])
def test_csynth(dsp):
    report = vendor.parse_csynth(CSYNTH.format(latency=123, dsp=dsp))
    assert (report.lut, report.ff, report.bram, report.dsp) == (3400, 1200, 1.5, 5)
    assert (report.latency, report.interval) == (123, 91)


@pytest.mark.parametrize("text", ["<profile/>", "no xml", CSYNTH.format(latency="?", dsp="DSP")])
def test_an_unknown_csynth_is_refused(text):
    with pytest.raises(InputError, match="in a known form"):
        vendor.parse_csynth(text)


def test_quartus():
    report = vendor.parse_quartus_fit(QUARTUS_FIT)
    assert (report.lut, report.ff, report.bram, report.dsp) == (12345, 5432, 4, 0)
    assert vendor.parse_quartus_timing(QUARTUS_STA).fmax == 287.11


def test_unknown_quartus_reports_are_refused():
    with pytest.raises(InputError, match="no row Total RAM Blocks"):
        vendor.parse_quartus_fit(QUARTUS_FIT.replace("Total RAM Blocks", "RAM"))
    with pytest.raises(InputError, match="no Fmax table"):
        vendor.parse_quartus_timing("; Slack ;")


def test_an_absent_tool_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert vendor.available() == {"vitis_hls": None, "vivado_hls": None, "vivado": None, "quartus": None}
    assert vendor.run_script("vivado", ["-version"], tmp_path) is False
    assert not list(tmp_path.iterdir())


def fake_tool(folder, monkeypatch, body):
    tool = folder / "vivado"
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_tool_on_path_is_run_with_the_wish_to_implement(tmp_path, monkeypatch):
    fake_tool(tmp_path, monkeypatch, 'echo "args $* impl $IMPL"')
    assert vendor.run_script("vivado", ["-mode", "batch"], tmp_path, implement=True)
    assert (tmp_path / "vivado.log").read_text() == "args -mode batch impl 1\n"


def test_a_failing_tool_is_an_error(tmp_path, monkeypatch):
    fake_tool(tmp_path, monkeypatch, "echo ERROR: no licence; exit 3")
    with pytest.raises(StageError, match="ended with code 3: ERROR: no licence"):
        vendor.run_script("vivado", [], tmp_path)

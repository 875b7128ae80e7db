"""Report parsers on the layouts of several versions; figures are invented, layouts are the tools'.

Layouts: Vivado 2020.1 utilization as in hls4ml's test data (``test/pytest/test_report/Vivado``), Vivado
2021 and later with the column ``Prohibited`` as alkaid's parser expects it, ``csynth.xml`` elements as
hls4ml reads them, Quartus rows as alkaid's parser expects them.
"""

import pytest

from trigger_ml.core.errors import InputError, StageError
from trigger_ml.firmware import vendor

VIVADO_2020 = """
1. Slice Logic
--------------

+----------------------------+------+-------+-----------+-------+
|          Site Type         | Used | Fixed | Available | Util% |
+----------------------------+------+-------+-----------+-------+
| Slice LUTs*                | 4321 |     0 |     53200 |  8.12 |
|   LUT as Logic             | 4300 |     0 |     53200 |  8.08 |
|   LUT as Memory            |   21 |     0 |     17400 |  0.12 |
| Slice Registers            | 2222 |     0 |    106400 |  2.09 |
+----------------------------+------+-------+-----------+-------+
* Warning! The Final LUT count, after physical optimizations and full implementation, is typically lower.

2. Memory
---------

+----------------+------+-------+-----------+-------+
|    Site Type   | Used | Fixed | Available | Util% |
+----------------+------+-------+-----------+-------+
| Block RAM Tile |  1.5 |     0 |       140 |  1.07 |
|   RAMB18       |    3 |     0 |       280 |  1.07 |
+----------------+------+-------+-----------+-------+

3. DSP
------

+-----------+------+-------+-----------+-------+
| Site Type | Used | Fixed | Available | Util% |
+-----------+------+-------+-----------+-------+
| DSPs      |    7 |     0 |       220 |  3.18 |
+-----------+------+-------+-----------+-------+
"""

VIVADO_2022 = """
+----------------------------+--------+-------+------------+-----------+-------+
|          Site Type         |  Used  | Fixed | Prohibited | Available | Util% |
+----------------------------+--------+-------+------------+-----------+-------+
| CLB LUTs*                  | 164154 |     0 |        960 |   1302720 | 12.60 |
| CLB Registers              | 200691 |     0 |          0 |   2607360 |  7.70 |
+----------------------------+--------+-------+------------+-----------+-------+

+-------------------+------+-------+------------+-----------+-------+
|     Site Type     | Used | Fixed | Prohibited | Available | Util% |
+-------------------+------+-------+------------+-----------+-------+
| Block RAM Tile    |  2.5 |     0 |          0 |      2016 |  0.12 |
+-------------------+------+-------+------------+-----------+-------+

+-----------+------+-------+------------+-----------+-------+
| Site Type | Used | Fixed | Prohibited | Available | Util% |
+-----------+------+-------+------------+-----------+-------+
| DSPs      |    0 |     0 |          0 |      9024 |  0.00 |
+-----------+------+-------+------------+-----------+-------+
"""

TIMING = """
------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)
    -------      -------  ---------------------  -------------------      -------      -------
     -0.125       -3.500                     57                  973        0.082        0.000
"""

CSYNTH = """<profile>
<PerformanceEstimates><SummaryOfOverallLatency>
<Best-caseLatency>100</Best-caseLatency><Worst-caseLatency>{latency}</Worst-caseLatency>
<Interval-min>90</Interval-min><Interval-max>91</Interval-max>
</SummaryOfOverallLatency></PerformanceEstimates>
<AreaEstimates><Resources><BRAM_18K>3</BRAM_18K><{dsp}>5</{dsp}><FF>1200</FF><LUT>3400</LUT></Resources></AreaEstimates>
</profile>"""

QUARTUS_FIT = """
; Total dedicated logic registers                             ; 5,432           ;
; Combinational ALUT usage for logic                          ; 12,345          ;
; Total RAM Blocks                                            ; 4 / 2,713 ( < 1 % ) ;
; Total DSP Blocks                                            ; 0 / 1,518 ( 0 % ) ;
"""

QUARTUS_STA = """
; Fmax       ; Restricted Fmax ; Clock Name ; Note ;
; 312.4 MHz  ; 312.4 MHz       ; aclk       ;      ;
; 287.11 MHz ; 287.11 MHz      ; aclk       ;      ;
"""


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
    assert vendor.available() == {"vitis": None, "vivado": None, "quartus": None}
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

"""The vendors' tools as executables on PATH that leave reports of the real layouts."""

import json
from pathlib import Path

import pytest
from vendor_reports import CSYNTH, HIERARCHY, QUARTUS_FIT, QUARTUS_STA, TIMING, VIVADO_2020, VIVADO_2022

from trigger_ml.core.config import RtlConfig, SynthesisConfig
from trigger_ml.core.documents.base import plain
from trigger_ml.core.errors import InputError, StageError
from trigger_ml.firmware.cost.vendor_tools import measure_hls, vendor_rtl

HEADER = "| Tool Version : Vivado v.2022.2 (lin64) Build 3671981\n"
RTL = RtlConfig()
VERSION = "<ReportVersion><Version>2023.2</Version></ReportVersion>"


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """``tools(name, {file: text})``: an executable that leaves files, and its arguments, where it runs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(name, files, more=""):
        lines = ["#!/bin/sh", f'echo "$*" > {name}.args', more]
        for number, (path, text) in enumerate(files.items()):
            kept = folder / f"{name}.{number}"
            kept.write_text(text)
            lines += [f"mkdir -p {Path(path).parent}", f"cp {kept} {path}"]
        (folder / name).write_text("\n".join(lines) + "\n")
        (folder / name).chmod(0o755)

    return install


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "build_prj.tcl").write_text("# the project's")
    return folder


def manifest(backend="Vitis"):
    return {
        "project": "demo",
        "backend": backend,
        "part": "xcku115-flvb2104-2-i",
        "clock_period_ns": 4.0,
    }


def csynth(version=VERSION):
    return CSYNTH.format(latency=123, dsp="DSP").replace("<profile>", f"<profile>{version}")


REPORT = "demo_prj/solution1/syn/report/demo_csynth.xml"


@pytest.mark.parametrize(
    ("backend", "command", "arguments"),
    [
        ("Vitis", "vitis-run", "--mode hls --tcl build_prj.tcl"),
        ("Vitis", "vitis_hls", "-f build_prj.tcl"),
        (
            "Vivado",
            "vivado_hls",
            "-f build_prj.tcl reset=1 csim=0 synth=1 cosim=0 validation=0 export=0 vsynth=0 fifo_opt=0",
        ),
    ],
)
def test_hls_synthesis(project, tmp_path, tools, backend, command, arguments):
    tools(command, {REPORT: csynth()})
    work = tmp_path / "work"
    found = plain(measure_hls(project, manifest(backend), SynthesisConfig(), work))
    source = "synthesis: vivado_hls" if backend == "Vivado" else "synthesis: vitis_hls"
    (figure,) = found["figures"]
    assert (figure["source"], figure["lut"], figure["ff"], figure["bram"], figure["dsp"]) == (
        source, 3400, 1200, 1.5, 5,
    )  # fmt: skip
    assert figure["tool"].endswith("2023.2")
    assert figure["lut_percent"] == round(100 * 3400 / 663_360, 3)
    assert found["clocks"] == [{"source": source, "tool": figure["tool"], "interval": 91, "latency": 123}]
    assert found["not_run"] == [
        {"source": "synthesis: vivado", "reason": "vivado is not on PATH", "tool": "vivado"}
    ]
    assert (work / f"{command}.args").read_text().strip() == arguments
    if backend == "Vitis":
        options = (work / "build_opt.tcl").read_text()
        assert "synth 1" in options
        assert "csim 0" in options
    # what build wrote stays as it is
    assert [path.name for path in project.iterdir()] == ["build_prj.tcl"]


def test_hls_with_logic_synthesis(project, tmp_path, tools):
    tools("vitis-run", {REPORT: csynth(), "vivado_synth.rpt": HEADER + VIVADO_2022})
    tools("vivado", {})
    settings = SynthesisConfig(implementation=True)
    found = plain(measure_hls(project, manifest(), settings, tmp_path / "work"))
    assert [(f["source"], f["lut"]) for f in found["figures"]] == [
        ("synthesis: vitis_hls", 3400),
        ("synthesis: vivado", 164154),
    ]
    assert found["figures"][1]["tool"] == "Vivado v.2022.2"
    assert "vsynth 1" in (tmp_path / "work" / "build_opt.tcl").read_text()
    (entry,) = found["not_run"]
    assert entry["source"] == "implementation: vivado"


@pytest.mark.usefixtures("tools")
def test_absent_hls_tools_are_named(project, tmp_path):
    found = plain(measure_hls(project, manifest(), SynthesisConfig(), tmp_path / "work"))
    assert found["figures"] == found["clocks"] == []
    assert {entry["source"]: entry["reason"] for entry in found["not_run"]} == {
        "synthesis: vitis_hls": "vitis-run or vitis_hls is not on PATH",
        "synthesis: vivado": "vivado is not on PATH",
    }
    assert not (tmp_path / "work").exists()


def test_vivado_without_hls_has_nothing_to_do(project, tmp_path, tools):
    tools("vivado", {})
    found = plain(measure_hls(project, manifest(), SynthesisConfig(), tmp_path / "work"))
    assert [entry["source"] for entry in found["not_run"]] == ["synthesis: vitis_hls", "synthesis: vivado"]
    assert "result of HLS synthesis" in found["not_run"][1]["reason"]


def test_other_hls_compilers_and_a_switched_off_vendor_are_told(project, tmp_path, tools):
    tools("vitis-run", {REPORT: csynth()})
    off = plain(measure_hls(project, manifest(), SynthesisConfig(vendor=False), tmp_path / "work"))
    assert {entry["reason"] for entry in off["not_run"]} == {"firmware.synthesis.vendor is off"}
    other = plain(measure_hls(project, manifest("Catapult"), SynthesisConfig(), tmp_path / "work"))
    assert [entry["source"] for entry in other["not_run"]] == ["synthesis: Catapult"]
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "left no such report"),
        ({REPORT: "<profile/>"}, "in a known form"),
        ({REPORT: CSYNTH.format(latency="?", dsp="DSP")}, "no number for .*Worst-caseLatency"),
    ],
)
def test_an_unknown_hls_report_is_an_error(project, tmp_path, tools, files, message):
    tools("vitis_hls", files)
    with pytest.raises(InputError, match=message):
        measure_hls(project, manifest(), SynthesisConfig(), tmp_path / "work")


def reports(*stages, **changed):
    texts = {
        "utilization": HEADER + VIVADO_2020,
        "utilization_hierarchical": HEADER + HIERARCHY,
        "timing": HEADER + TIMING,
        **changed,
    }
    return {f"reports/{stage}_{kind}.rpt": text for stage in stages for kind, text in texts.items()}


def test_vivado_synthesis(project, tmp_path, tools):
    tools("vivado", reports("synth"), 'test "$IMPL" = 0 || exit 5')
    found = plain(vendor_rtl(project, RTL, SynthesisConfig(), tmp_path / "work"))
    assert {f["source"] for f in found["figures"]} == {"synthesis: vivado"}
    luts = {f["layer"]: f["lut"] for f in found["figures"]}
    assert luts == {"total": 4321, "conv1": 70, "pool": 50}
    assert found["figures"][0]["tool"] == "Vivado v.2022.2"
    assert found["timing"] == [
        {
            "source": "synthesis: vivado",
            "tool": "Vivado v.2022.2",
            "kind": "post-synthesis slack",
            "slack_ns": -0.125,
            "note": "estimated routing",
        }
    ]
    assert (tmp_path / "work/vivado/vivado.args").read_text() == "-mode batch -source build_vivado.tcl\n"


def test_vivado_implementation(project, tmp_path, tools):
    tools("vivado", reports("synth", "impl"), 'test "$IMPL" = 1 || exit 5')
    found = plain(vendor_rtl(project, RTL, SynthesisConfig(implementation=True), tmp_path / "work"))
    assert [t["kind"] for t in found["timing"]] == ["post-synthesis slack", "post-route slack"]
    assert found["figures"][-1]["source"] == "implementation: vivado"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"utilization": VIVADO_2020.replace("Slice LUTs", "LUTs")}, "no row CLB LUTs or Slice LUTs"),
        ({"utilization_hierarchical": "nothing"}, "hierarchical utilization table"),
        ({"timing": "nothing"}, "design timing summary"),
    ],
)
def test_an_unknown_vivado_report_is_an_error(project, tmp_path, tools, changed, message):
    tools("vivado", reports("synth", **changed))
    with pytest.raises(InputError, match=message):
        vendor_rtl(project, RTL, SynthesisConfig(), tmp_path / "work")


def test_a_missing_or_stale_vivado_report_is_an_error(project, tmp_path, tools):
    for path, text in reports("synth").items():
        # left by an earlier run, of the stage or of the user
        for folder in (tmp_path / "work/vivado", project):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
    tools("vivado", {})
    with pytest.raises(InputError, match="left no such report"):
        vendor_rtl(project, RTL, SynthesisConfig(), tmp_path / "work")


def test_a_failing_vivado_is_an_error(project, tmp_path, tools):
    tools("vivado", {}, "echo ERROR: no licence; exit 3")
    with pytest.raises(StageError, match="ended with code 3: ERROR: no licence"):
        vendor_rtl(project, RTL, SynthesisConfig(), tmp_path / "work")


def test_quartus_needs_a_part_and_its_fitter(project, tmp_path, tools):
    tools(
        "quartus_sh",
        {"trigger_network.fit.rpt": QUARTUS_FIT, "trigger_network.sta.rpt": QUARTUS_STA},
        'test "$QUARTUS_PART" = 10CX220YF780E5G || exit 5',
    )
    without = SynthesisConfig(quartus_part="10CX220YF780E5G")
    (entry, _) = plain(vendor_rtl(project, RTL, without, tmp_path / "work"))["not_run"]
    assert "its fitter" in entry["reason"]
    settings = SynthesisConfig(quartus_part="10CX220YF780E5G", implementation=True)
    found = plain(vendor_rtl(project, RTL, settings, tmp_path / "work"))
    (figure,) = found["figures"]
    assert (figure["lut"], figure["ff"], figure["part"]) == (12345, 5432, "10CX220YF780E5G")
    assert "lut_percent" not in figure
    (timing,) = found["timing"]
    assert timing["fmax_mhz"] == 287.11
    assert timing["slack_ns"] == round(4 - 1000 / 287.11, 3)


@pytest.mark.usefixtures("tools")
def test_nothing_is_pretended_for_the_rtl(project, tmp_path):
    found = plain(vendor_rtl(project, RTL, SynthesisConfig(implementation=True), tmp_path / "work"))
    assert found["figures"] == found["timing"] == []
    assert [entry["source"] for entry in found["not_run"]] == [
        "implementation: quartus",
        "synthesis: vivado",
        "implementation: vivado",
    ]
    lattice = vendor_rtl(project, RtlConfig(part="lfe5u-85f"), SynthesisConfig(), tmp_path / "work")
    assert "not of this vendor" in json.dumps(plain(lattice)["not_run"])

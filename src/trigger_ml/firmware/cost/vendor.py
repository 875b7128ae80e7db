"""The vendors' tools, where they are installed: running the build scripts and reading the reports.

A report that is not of a known form is an error; a figure that is missing is never a zero. The layouts:

* Vivado ``report_utilization``: tables ``| Site Type | Used | Fixed | Available | Util% |`` (2017 to 2020)
  and with a column ``Prohibited`` (2021 on); ``Slice`` (7-series) or ``CLB`` (UltraScale) in the row names.
  Seen in hls4ml's test data (Vivado 2020.1) and in what alkaid's parser expects.
* Vivado ``report_utilization -hierarchical``: the table with ``Instance``, ``Total LUTs``, ``FFs``,
  ``RAMB36``, ``RAMB18`` and ``DSP Blocks`` or ``DSP48 Blocks``; two spaces of indentation per level.
* Vivado ``report_timing_summary``: the row under ``WNS(ns)`` of the section ``Design Timing Summary``.
* Vitis and Vivado HLS ``csynth.xml``: the elements that hls4ml's report reader takes.
* Quartus ``*.fit.rpt`` and ``*.sta.rpt``: rows of the fitter summary and the Fmax table, as alkaid's parser
  expects them.
"""

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trigger_ml.core.documents.resources import Resources
from trigger_ml.core.errors import InputError, StageError

__all__ = [
    "TOOLS",
    "VendorReport",
    "absent_now_present",
    "available",
    "parse_csynth",
    "parse_quartus_fit",
    "parse_quartus_timing",
    "parse_vivado_hierarchy",
    "parse_vivado_timing",
    "parse_vivado_utilization",
    "run_script",
    "version_in",
]

TOOLS = {
    "vitis_hls": ("vitis-run", "vitis_hls"),
    "vivado_hls": ("vivado_hls",),
    "vivado": ("vivado",),
    "quartus": ("quartus_sh",),
}


@dataclass(frozen=True)
class VendorReport:
    """Figures of a report; None where this kind of report does not hold them.

    Parameters
    ----------
    source : str
        Tool and stage, as it goes into ``resources.json``.
    """

    source: str
    lut: int | None = None
    ff: int | None = None
    bram: float | None = None
    dsp: int | None = None
    wns: float | None = None
    """Worst negative slack in nanoseconds."""
    fmax: float | None = None
    """MHz."""
    latency: int | None = None
    """Clocks, worst case."""
    interval: int | None = None
    """Clocks, worst case."""


def available() -> dict[str, str | None]:
    """Path of each tool's first command that is on PATH; None where there is none."""
    return {
        name: next((path for command in commands if (path := shutil.which(command))), None)
        for name, commands in TOOLS.items()
    }


def absent_now_present(resources: Resources) -> list[str]:
    """Tools that were missing when ``resources.json`` was written and are on PATH now."""
    found = available()
    missing = {entry.tool for project in resources.projects.values() for entry in project.not_run}
    return sorted(tool for tool in missing if tool is not None and found.get(tool) is not None)


def _unknown(source: str, what: str) -> InputError:
    return InputError(
        source,
        f"the report has no {what} in a known form",
        "Report the tool's version and the file; nothing was taken from it",
    )


def _number(text: str, source: str, what: str) -> float:
    try:
        return float(text.replace(",", "").strip())
    except ValueError:
        raise _unknown(source, f"number for {what} (found {text.strip()!r})") from None


def _site_rows(text: str) -> dict[str, str]:
    """First ``Used`` of each row of the ``Site Type`` tables."""
    rows: dict[str, str] = {}
    column: int | None = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|"):
            if not line.lstrip().startswith("+"):
                column = None
            continue
        if cells[0] == "Site Type":
            column = cells.index("Used") if "Used" in cells else None
        elif column is not None and len(cells) > column:
            rows.setdefault(cells[0].rstrip("*").strip(), cells[column])
    return rows


def parse_vivado_utilization(text: str, source: str = "vivado") -> VendorReport:
    """Figures of ``report_utilization``.

    Raises
    ------
    InputError
        If a row is missing or holds no number.
    """
    rows = _site_rows(text)

    def used(*names: str) -> float:
        for name in names:
            if name in rows:
                return _number(rows[name], source, name)
        raise _unknown(source, f"row {' or '.join(names)}")

    return VendorReport(
        source,
        lut=int(used("CLB LUTs", "Slice LUTs")),
        ff=int(used("CLB Registers", "Slice Registers")),
        bram=used("Block RAM Tile"),
        dsp=int(used("DSPs")),
    )


def parse_vivado_hierarchy(text: str, source: str = "vivado") -> dict[str, VendorReport]:
    """Figures of the instances directly below the top, by module, from ``report_utilization -hierarchical``.

    Raises
    ------
    InputError
        If there is no such table, or a cell of it holds no number.
    """
    columns: list[str] = []
    found: dict[str, VendorReport] = {}
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = line.strip().strip("|").split("|")
        names = [cell.strip() for cell in cells]
        if "Instance" in names and "Total LUTs" in names:
            columns = ["DSP" if name.startswith("DSP") else name for name in names]
            continue
        # the top stands at depth 0 with one leading space; its instances two further in
        indent = len(cells[0]) - len(cells[0].lstrip())
        if not columns or indent != 3 or names[0].startswith("("):
            continue
        row = dict(zip(columns, names, strict=True))
        try:
            values = {
                key: _number(row[key], source, f"{key} of {names[0]}")
                for key in ("Total LUTs", "FFs", "RAMB36", "RAMB18", "DSP")
            }
        except KeyError as error:
            raise _unknown(source, f"column {error}") from None
        found[row["Module"]] = VendorReport(
            source,
            lut=int(values["Total LUTs"]),
            ff=int(values["FFs"]),
            bram=values["RAMB36"] + values["RAMB18"] / 2,
            dsp=int(values["DSP"]),
        )
    if not found:
        raise _unknown(source, "hierarchical utilization table")
    return found


VERSIONS = (
    r"\| Tool Version\s*:\s*(Vivado v\.\S+)",
    r"<ReportVersion>\s*<Version>\s*([^<\s]+)",
    r"; Quartus Prime Version\s*;\s*(?:Version )?(\S+)",
)


def version_in(text: str) -> str:
    """Version of the tool that wrote a report, as it stands there."""
    matches = (re.search(pattern, text) for pattern in VERSIONS)
    return next((match[1] for match in matches if match), "version not stated in the report")


def parse_vivado_timing(text: str, source: str = "vivado") -> VendorReport:
    """Worst slack of ``report_timing_summary``.

    Raises
    ------
    InputError
        If there is no such section, or the design has no constrained path.
    """
    start = text.find("Design Timing Summary")
    lines = [line for line in text[start:].splitlines() if line.strip()] if start >= 0 else []
    for number, line in enumerate(lines):
        if line.split()[:1] == ["WNS(ns)"] and number + 2 < len(lines):
            return VendorReport(source, wns=_number(lines[number + 2].split()[0], source, "WNS"))
    raise _unknown(source, "design timing summary")


def parse_csynth(text: str, source: str = "csynth") -> VendorReport:
    """Estimates of HLS synthesis, from ``csynth.xml``.

    Raises
    ------
    InputError
        If an element is missing or holds no number (an undefined latency is a question mark).
    """
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise _unknown(source, f"XML ({error})") from None

    def number(*paths: str) -> float:
        for path in paths:
            node = root.find(path)
            if node is not None and node.text is not None:
                return _number(node.text, source, path)
        raise _unknown(source, f"element {' or '.join(paths)}")

    area = "AreaEstimates/Resources"
    performance = "PerformanceEstimates/SummaryOfOverallLatency"
    return VendorReport(
        source,
        lut=int(number(f"{area}/LUT")),
        ff=int(number(f"{area}/FF")),
        # HLS counts blocks of 18 kbit
        bram=number(f"{area}/BRAM_18K") / 2,
        dsp=int(number(f"{area}/DSP", f"{area}/DSP48E")),
        latency=int(number(f"{performance}/Worst-caseLatency")),
        interval=int(number(f"{performance}/Interval-max")),
    )


def _quartus_row(text: str, label: str, source: str) -> float:
    match = re.search(rf"^;\s*{label}\s*;\s*([\d,]+)(?:\s*/\s*[\d,]+)?", text, re.MULTILINE)
    if match is None:
        raise _unknown(source, f"row {label}")
    return _number(match[1], source, label)


def parse_quartus_fit(text: str, source: str = "quartus fitter") -> VendorReport:
    """Figures of a fitter report; ``lut`` are ALUTs, ``bram`` RAM blocks.

    Raises
    ------
    InputError
        If a row is missing.
    """
    return VendorReport(
        source,
        lut=int(_quartus_row(text, "Combinational ALUT usage for logic", source)),
        ff=int(_quartus_row(text, "Total dedicated logic registers", source)),
        bram=_quartus_row(text, "Total RAM Blocks", source),
        dsp=int(_quartus_row(text, "Total DSP Blocks", source)),
    )


def parse_quartus_timing(text: str, source: str = "quartus timing") -> VendorReport:
    """Lowest Fmax over the clocks and models of a timing analyzer report.

    Raises
    ------
    InputError
        If there is no Fmax table.
    """
    values = re.findall(r"^;\s*([\d.]+)\s*MHz\s*;\s*[\d.]+\s*MHz\s*;", text, re.MULTILINE)
    if not values:
        raise _unknown(source, "Fmax table")
    return VendorReport(source, fmax=min(_number(value, source, "Fmax") for value in values))


def run_script(
    tool: str,
    arguments: Sequence[str],
    folder: Path,
    *,
    implement: bool = False,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> bool:
    """Run one of a vendor's tools in a project folder, with its output in ``<tool>.log``.

    Parameters
    ----------
    tool : str
        Key of :data:`TOOLS`.
    arguments : sequence of str
    folder : Path
    implement : bool
        Also place and route (the scripts look at the environment's ``IMPL``).
    variables : mapping of str to str, optional
        Further environment variables.
    timeout : float, optional
        Seconds.

    Returns
    -------
    bool
        False if the tool is not installed: nothing was run, and nothing must be reported.

    Raises
    ------
    StageError
        If the tool fails.
    """
    command = available()[tool]
    if command is None:
        return False
    environment = {**os.environ, **(variables or {}), "IMPL": "1" if implement else "0"}
    log = folder / f"{tool}.log"
    with log.open("w", encoding="utf-8", errors="replace") as stream:
        done = subprocess.run(
            [command, *arguments],
            cwd=folder,
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=timeout,
        )
    if done.returncode:
        tail = " ".join(log.read_text(errors="replace").splitlines()[-5:])
        raise StageError(tool, f"ended with code {done.returncode}: {tail}", f"Read {log}")
    return True

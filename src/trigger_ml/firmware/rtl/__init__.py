"""RTL without a vendor's tools: generated, simulated clock by clock, ready for synthesis."""

from trigger_ml.firmware.rtl.project import TOP, RtlProject, design, outline, sources, write_project
from trigger_ml.firmware.rtl.simulate import Disturbance, Simulator, build, build_netlist
from trigger_ml.firmware.rtl.timing import Timing, timing

__all__ = [
    "TOP",
    "Disturbance",
    "RtlProject",
    "Simulator",
    "Timing",
    "build",
    "build_netlist",
    "design",
    "outline",
    "sources",
    "timing",
    "write_project",
]

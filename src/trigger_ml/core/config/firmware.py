"""Configuration of the firmware projects and of their verification."""

from typing import Literal

from pydantic import Field

from trigger_ml.core.config.base import Section


class HlsConfig(Section):
    """The hls4ml project."""

    backend: Literal["Vitis", "Vivado", "oneAPI", "Catapult", "Quartus", "Libero"] = "Vitis"
    """Compiler or vendor that the project is written for."""
    io_type: Literal["io_stream", "io_parallel"] = "io_stream"
    """``io_stream``: one pixel after the other; ``io_parallel``: the whole image at once."""
    strategy: Literal["Latency", "Resource", "Distributed_Arithmetic"] = "Latency"
    """hls4ml strategy of all layers."""
    reuse_factor: int = Field(1, gt=0)
    """Uses of each multiplier."""
    layers: dict[str, dict[str, int | str]] = {}
    """hls4ml settings by layer name, for instance ``{fc: {ReuseFactor: 4}}``."""
    part: str = "xcku115-flvb2104-2-i"
    """FPGA part."""
    clock_period: float = Field(4.0, gt=0)
    """Nanoseconds."""


class RtlConfig(Section):
    """The RTL project made with alkaid."""

    style: Literal["streaming", "unrolled"] = "streaming"
    """``streaming``: pixels pass through line buffers; ``unrolled``: the whole network at once."""
    pixels_per_clock: Literal[1, 2, 4, 8, 16] = 1
    """Grid cells read in each clock."""
    part: str = "xcku115-flvb2104-2-i"
    """FPGA part."""
    clock_period: float = Field(4.0, gt=0)
    """Nanoseconds."""
    stage_delay: float | None = Field(None, gt=0)
    """Nanoseconds of cell delay to allow between two pipeline registers, wires not counted; null for 0.84 of
    ``clock_period``. A smaller one leaves more of the clock to the wires and costs registers and latency."""
    duty: float = Field(1.0, gt=0, le=1)
    """Largest fraction of the frame's clocks in which a layer's kernels may be busy. A smaller one gives
    layers more copies of their kernel: more LUTs, less latency."""

    @property
    def cell_delay(self) -> float:
        """Nanoseconds of cell delay between two pipeline registers.

        The delays by which registers are placed are up to 13 % below those of Yosys' timing analysis (the
        kernels of two networks); the rest of the margin is for channels slower than those sampled.
        """
        return self.stage_delay or 0.84 * self.clock_period


class SynthesisConfig(Section):
    """What ``synthesize`` measures of the projects that ``build`` wrote."""

    tool: Literal["yosys"] | None = "yosys"
    """Open logic synthesis of the RTL project; null for none, the prediction then stands alone."""
    timing: bool = True
    """Add up cell delays on the longest path after synthesis (Xilinx parts; before placement)."""
    place_and_route: bool = False
    """Place and route the RTL on a Lattice ECP5 (parts ``lfe5u-*``) with nextpnr, for a real Fmax; needs the
    extra ``pnr``."""
    vendor: bool = True
    """Run Vitis HLS, Vivado HLS, Vivado and Quartus on the projects where they are on PATH."""
    implementation: bool = False
    """Vendor tools also place and route (``IMPL=1`` in the environment of ``hls-build``)."""
    quartus_part: str | None = None
    """Intel part that Quartus compiles the RTL for; null leaves Quartus out."""
    frames: int = Field(8, ge=2)
    """Frames simulated undisturbed to measure initiation interval and latency."""


class FirmwareConfig(Section):
    """The firmware projects: what ``build`` writes and ``synthesize`` measures."""

    hls: HlsConfig | None = HlsConfig()
    """The hls4ml project; null for none."""
    rtl: RtlConfig | None = None
    """The RTL project; null for none."""
    vectors: int = Field(32, gt=0)
    """Events whose every layer's output is written beside the projects as test vectors."""
    synthesis: SynthesisConfig = SynthesisConfig()
    """What is measured of the projects."""


class VerifyConfig(Section):
    """What ``verify`` compares."""

    csim_events: int = Field(400, gt=0)
    """Test events sent through the slow C simulation (all test events go through the others)."""
    rtl_events: int = Field(100, gt=0)
    """Test events sent through the RTL simulation, once back to back and once with random gaps and stalls."""
    random_corners: int = Field(32, gt=0)
    """Random full-range inputs among the corner inputs."""
    random_events: int = Field(100_000, ge=0)
    """Random inputs, and corner inputs with random cells, on which the compiled and the ONNX emulator must
    agree (where there is a C++ compiler)."""

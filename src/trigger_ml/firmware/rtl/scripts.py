"""Files around the sources: test bench, constraints, the vendors' build scripts."""

from trigger_ml.core.config import RtlConfig
from trigger_ml.firmware.rtl.dataflow import Pipeline
from trigger_ml.firmware.rtl.top import input_bits, output_bits

__all__ = ["quartus_script", "sdc", "test_bench", "vivado_script", "xdc"]


def test_bench(pipeline: Pipeline, top: str, frames: int) -> str:
    """A self-checking test bench: frames from ``frames.hex`` with gaps and stalls against ``results.hex``."""
    beats, bits, result = pipeline.input.beats, input_bits(pipeline), output_bits(pipeline)
    return f"""// Sends {frames} frames with random gaps, takes results with random stalls, compares every bit.
// Start it in the folder of frames.hex and results.hex.
`timescale 1ns / 1ps
module {top}_tb;
    reg aclk = 1'b0;
    always #2 aclk = ~aclk;
    reg aresetn = 1'b0;
    reg s_axis_tvalid = 1'b0;
    wire s_axis_tready;
    wire [{bits - 1}:0] s_axis_tdata;
    wire m_axis_tvalid;
    reg m_axis_tready = 1'b0;
    wire [{result - 1}:0] m_axis_tdata;

    {top} dut (
        .aclk(aclk),
        .aresetn(aresetn),
        .s_axis_tvalid(s_axis_tvalid),
        .s_axis_tready(s_axis_tready),
        .s_axis_tdata(s_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready),
        .m_axis_tdata(m_axis_tdata)
    );

    reg [{bits - 1}:0] frames [0:{frames * beats - 1}];
    reg [{result - 1}:0] results [0:{frames - 1}];
    integer sent = 0, taken = 0, wrong = 0, clocks = 0;
    assign s_axis_tdata = frames[sent];
    initial begin
        $readmemh("frames.hex", frames);
        $readmemh("results.hex", results);
    end
    always @(posedge aclk) begin
        clocks <= clocks + 1;
        aresetn <= clocks > 3;
        if (aresetn) begin
            if (s_axis_tvalid && s_axis_tready) begin
                sent <= sent + 1;
                s_axis_tvalid <= sent + 1 < {frames * beats} && ($urandom & 3) != 0;
            end else if (!s_axis_tvalid) s_axis_tvalid <= sent < {frames * beats} && ($urandom & 3) != 0;
            m_axis_tready <= ($urandom & 3) != 0;
            if (m_axis_tvalid && m_axis_tready) begin
                if (m_axis_tdata !== results[taken]) begin
                    wrong <= wrong + 1;
                    $display("frame %0d: %h instead of %h", taken, m_axis_tdata, results[taken]);
                end
                taken <= taken + 1;
                if (taken == {frames - 1}) begin
                    if (wrong == 0 && m_axis_tdata === results[taken]) $display("PASS: {frames} frames");
                    else $display("FAIL");
                    $finish;
                end
            end
        end
        if (clocks > {frames * beats * 8 + 100_000}) begin
            $display("FAIL: %0d of {frames} results after %0d clocks", taken, clocks);
            $finish;
        end
    end
endmodule
"""


def xdc(config: RtlConfig) -> str:
    """Vivado constraints."""
    return f"create_clock -name aclk -period {config.clock_period} [get_ports aclk]\n"


def sdc(config: RtlConfig) -> str:
    """Quartus constraints."""
    return (
        f"create_clock -name aclk -period {config.clock_period} [get_ports aclk]\nderive_clock_uncertainty\n"
    )


def vivado_script(config: RtlConfig, top: str) -> str:
    """Batch script for Vivado: ``vivado -mode batch -source build_vivado.tcl``."""
    return f"""# Synthesis, and with IMPL=1 in the environment implementation, out of context.
set folder [file dirname [file normalize [info script]]]
file mkdir $folder/reports
read_verilog [glob $folder/rtl/*.v]
read_xdc -mode out_of_context $folder/constraints/{top}.xdc
synth_design -top {top} -part {config.part} -mode out_of_context -flatten_hierarchy rebuilt
report_utilization -file $folder/reports/synth_utilization.rpt
report_utilization -hierarchical -file $folder/reports/synth_utilization_hierarchical.rpt
report_timing_summary -file $folder/reports/synth_timing.rpt
if {{[info exists ::env(IMPL)] && $::env(IMPL) == "1"}} {{
    opt_design
    place_design
    phys_opt_design
    route_design
    report_utilization -file $folder/reports/impl_utilization.rpt
    report_utilization -hierarchical -file $folder/reports/impl_utilization_hierarchical.rpt
    report_timing_summary -file $folder/reports/impl_timing.rpt
    write_checkpoint -force $folder/reports/{top}.dcp
}}
"""


def quartus_script(config: RtlConfig, top: str) -> str:
    """Script for Quartus: ``quartus_sh -t build_quartus.tcl``; the part comes from ``QUARTUS_PART``."""
    return f"""# Needs the environment variable QUARTUS_PART, since the configured part ({config.part}) is another vendor's.
package require ::quartus::project
package require ::quartus::flow
set folder [file dirname [file normalize [info script]]]
project_new {top} -overwrite
set_global_assignment -name DEVICE $::env(QUARTUS_PART)
set_global_assignment -name TOP_LEVEL_ENTITY {top}
foreach file [glob $folder/rtl/*.v] {{ set_global_assignment -name VERILOG_FILE $file }}
set_global_assignment -name SDC_FILE $folder/constraints/{top}.sdc
set_instance_assignment -name VIRTUAL_PIN ON -to *
if {{[info exists ::env(IMPL)] && $::env(IMPL) == "1"}} {{
    execute_flow -compile
}} else {{
    execute_module -tool syn
}}
project_close
"""

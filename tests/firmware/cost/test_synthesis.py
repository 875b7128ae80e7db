import json
import re

import pytest

from trigger_ml.core.errors import MappingError, StageError
from trigger_ml.firmware.cost.arrival import untimed_cells
from trigger_ml.firmware.cost.synthesis import (
    Cost,
    Part,
    cells_to_cost,
    family_of,
    part_named,
    require_fit,
    synthesize,
)

# an 8-bit adder with registers, used twice
ADDER = {
    "adder.v": """
module adder(input wire clk, input wire [7:0] a, input wire [7:0] b, output reg [7:0] s);
    always @(posedge clk) s <= a + b;
endmodule
""",
    "two.v": """
module two(input wire clk, input wire [7:0] a, input wire [7:0] b, output wire [7:0] s);
    wire [7:0] between;
    adder first(.clk(clk), .a(a), .b(b), .s(between));
    adder second(.clk(clk), .a(between), .b(b), .s(s));
endmodule
""",
}


@pytest.fixture(scope="module")
def two():
    return synthesize(ADDER, "two", "xc7")


def test_modules_count_as_often_as_they_are_used(two):
    assert two.total.ff == 16
    assert two.modules["adder"].ff == 16
    assert two.total.dsp == two.total.bram == 0
    # one lookup table per bit of a carry-chain adder
    assert two.total.lut == 16


def test_arrival_is_that_of_one_adder(two):
    assert 0.1 < two.arrival < 2.0


# from a register through a memory and an adder to a register: no port is on the path
MEMORY = {
    "memory.v": """
module memory(input wire clk, input wire [7:0] a, output reg [7:0] s);
    reg [7:0] held [0:31];
    reg [4:0] at;
    reg [7:0] x;
    always @(posedge clk) begin
        at <= at + 5'd1;
        held[a[4:0]] <= a;
        x <= a;
        s <= held[at] + x;
    end
endmodule
"""
}


@pytest.mark.parametrize("family", ["xc7", pytest.param("xcu", marks=pytest.mark.slow)])
def test_arrival_counts_paths_from_register_to_register(family):
    found = synthesize(MEMORY, "memory", family)
    assert found.untimed == ()
    # the memory's clock to its output takes 1.15 to 1.19 ns, then come at least a LUT and a carry chain
    assert 1.15 + 0.5 < found.arrival < 4
    assert re.search(r"\(FD\w+\.D\)", found.path)
    assert re.search(r"\(RAM\w+\.WCLK->\w+\)", found.path)


def test_cells_without_delays_are_named():
    report = "Warning: Module 'RAMB36E2' has no timing arcs!\nWarning: Cell type '$scopeinfo' not recognised!"
    assert untimed_cells(report) == ("RAMB36E2",)


def test_broken_code_is_an_error():
    with pytest.raises(StageError, match="Yosys"):
        synthesize(
            {"bad.v": "module bad(input wire a; endmodule"},
            "bad",
            "xc7",
        )


def test_cells_to_cost():
    cells = {
        "LUT6": 3,
        "INV": 1,
        "FDRE": 5,
        "RAM32M16": 2,
        "RAMB18E2": 1,
        "DSP48E2": 4,
        "MUXF7": 9,
        "CARRY4": 2,
    }
    assert cells_to_cost(cells) == Cost(lut=20, lut_memory=16, ff=5, bram=0.5, dsp=4, carry=2)


def test_an_unknown_cell_is_an_error():
    with pytest.raises(StageError, match="cell URAM288"):
        cells_to_cost({"URAM288": 1})


@pytest.mark.parametrize(
    ("code", "family"),
    [
        ("xcku115-flvb2104-2-i", "xcu"),
        ("XC7A100TCSG324-1", "xc7"),
        ("xcku5p-ffvb676-2-e", "xcup"),
        ("LFE5U-85F-6BG381C", "ecp5"),
    ],
)
def test_family(code, family):
    assert family_of(code) == family


def test_an_unknown_part_is_refused():
    with pytest.raises(MappingError, match="part 10AX115"):
        part_named("10AX115")


def test_what_does_not_fit_is_refused_with_how_much():
    part = Part("tiny", "xc7", lut=100, ff=1000, bram=0, dsp=0)
    require_fit(Cost(lut=100, ff=1000), part, source="prediction")
    with pytest.raises(MappingError, match=r"LUT 150 of 100 \(50% too many\).*DSP 2 of 0") as caught:
        require_fit(Cost(lut=150, dsp=2), part, source="prediction")
    assert "prediction" in str(caught.value)


@pytest.mark.slow
def test_processes_beside_each_other_find_the_same(two):
    files = {
        **ADDER,
        "counter.v": """
module counter(input wire clk, input wire rst, output reg [3:0] n);
    always @(posedge clk) n <= rst ? 4'd0 : n + 4'd1;
endmodule
""",
        "three.v": """
module three(input wire clk, input wire rst, input wire [7:0] b, output wire [7:0] s);
    wire [3:0] n;
    counter count(.clk(clk), .rst(rst), .n(n));
    two sum(.clk(clk), .a({4'd0, n}), .b(b), .s(s));
endmodule
""",
    }
    one, several = (synthesize(files, "three", "xc7", workers=workers) for workers in (1, 2))
    assert one == several
    assert set(several.modules) == {"counter", "two"}
    # what stands below the modules under the top is counted in them
    assert several.modules["two"] == two.total
    assert several.total == several.modules["counter"] + several.modules["two"]
    assert several.arrival >= two.arrival


def test_the_flat_netlist_holds_every_cell(tmp_path):
    path = tmp_path / "netlist.json"
    found = synthesize(ADDER, "two", "ecp5", merged=path)
    assert found.arrival is None
    cells = [c["type"] for c in json.loads(path.read_text())["modules"]["two"]["cells"].values()]
    assert cells.count("TRELLIS_FF") == found.total.ff == 16

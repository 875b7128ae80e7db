"""Reports of the vendors' tools; figures are invented, layouts are the tools'.

The utilization by hierarchy is laid out as in reports of Vivado 2020 to 2025 that people published.
Layouts: Vivado 2020.1 utilization as in hls4ml's test data (``test/pytest/test_report/Vivado``), Vivado
2021 and later with the column ``Prohibited`` as alkaid's parser expects it, ``csynth.xml`` elements as
hls4ml reads them, Quartus rows as alkaid's parser expects them.
"""

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

HIERARCHY = """
1. Utilization by Hierarchy
---------------------------

+-------------------+--------+------------+------------+---------+------+-----+--------+--------+------------+
|      Instance     | Module | Total LUTs | Logic LUTs | LUTRAMs | SRLs | FFs | RAMB36 | RAMB18 | DSP Blocks |
+-------------------+--------+------------+------------+---------+------+-----+--------+--------+------------+
| trigger_network   |  (top) |        120 |        100 |      12 |    8 |  90 |      1 |      1 |          2 |
|   (trigger_network) | (top) |         0 |          0 |       0 |    0 |   0 |      0 |      0 |          0 |
|   conv1_stage     |  conv1 |         70 |         60 |       6 |    4 |  50 |      1 |      1 |          2 |
|     kernel_0      | kernel |         30 |         30 |       0 |    0 |  10 |      0 |      0 |          0 |
|   pool_stage      |   pool |         50 |         40 |       6 |    4 |  40 |      0 |      0 |          0 |
+-------------------+--------+------------+------------+---------+------+-----+--------+--------+------------+
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

"""What cannot be mapped is refused by name, before any work."""

import numpy as np
import pytest
from strategies import Builder, resnet

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.errors import MappingError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.ir.network import Conv2D, Flatten
from trigger_ml.firmware.ir.ops import GlobalMaxPool
from trigger_ml.firmware.rtl.dataflow import FifoModule, Stream, output_lanes
from trigger_ml.firmware.rtl.plan import identifier
from trigger_ml.firmware.rtl.project import outline
from trigger_ml.firmware.rtl.timing import timing


def refused(network, match, **options):
    with pytest.raises(MappingError, match=match):
        outline(network, RtlConfig(**options))


def test_padding_beyond_the_kernel_is_refused():
    b = Builder(np.random.default_rng(0), (6, 6, 1), FixedPoint(False, 4, 4))
    kind = FixedPoint(True, 4, 3)
    one = np.ones((1, 1, 1, 1), dtype=np.int64)
    b.add(Conv2D("pad", ("input",), one, kind, np.zeros(1, np.int64), kind, padding=((1, 0), (0, 0))))
    refused(b.network(), r"layer pad \(conv2d\): vertical padding \(1, 0\) exceeds")


def test_more_pixels_per_clock_than_a_row_has_are_refused():
    refused(resnet((8, 8), 2, ((2, 1),)), "16 pixels per clock exceed a row of 8 cells", pixels_per_clock=16)


def test_a_wide_flatten_is_refused():
    b = Builder(np.random.default_rng(0), (70, 70, 1), FixedPoint(False, 1, 1))
    b.dense(b.add(Flatten("flat", ("input",))), 1)
    refused(b.network(), r"layer flat \(flatten\): 4900 values")


def test_a_large_unrolled_network_is_refused():
    refused(resnet((40, 40), 2, ((2, 1),)), "1600 inputs at once", style="unrolled")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wire", "layer_wire"),
        ("conv/1", "layer_conv_1"),
        ("3x", "layer_3x"),
        ("a__b_", "layer_a_b"),
        ("Ünicode", "layer_nicode"),
        ("ß", "layer_unnamed"),
        ("conv_kernel", "layer_conv_kernel_layer"),
        ("Kernel_2", "layer_Kernel_2_layer"),
        ("x" * 300, "layer_" + "x" * 80),
    ],
)
def test_identifiers_are_legal(name, expected):
    assert identifier(name, set()) == expected


def test_identifiers_do_not_collide():
    taken: set[str] = set()
    names = [identifier(name, taken) for name in ("conv", "Conv", "conv", "conv_kernel", "conv_2")]
    assert names == [
        "layer_conv",
        "layer_Conv_2",
        "layer_conv_3",
        "layer_conv_kernel_layer",
        "layer_conv_2_2",
    ]
    modules = {name.lower() for name in names} | {f"{name}_kernel".lower() for name in names}
    assert len(modules) == 2 * len(names)


def test_fewest_kernels_that_keep_up():
    b = Builder(np.random.default_rng(0), (48, 48, 1), FixedPoint(False, 8, 8))
    name = b.conv("input", 4, strides=(2, 2))
    network = b.network()
    source = Stream(48, 48, 1, 16, FixedPoint(False, 8, 8))
    # 24 x 24 positions in 144 clocks are four per clock
    assert output_lanes(source, 2, network.shapes[name][0], 144) == 4


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("size", [(12, 12), (20, 20), (9, 7)])
def test_attention_takes_a_frame_of_memory_and_no_rate(size, lanes):
    b = Builder(np.random.default_rng(0), (*size, 1), FixedPoint(False, 5, 5))
    x = b.quantize(b.conv("input", 3), FixedPoint(True, 5, 2))
    b.dense(b.add(GlobalMaxPool("largest", (b.excited(x, positions=False),))), 1)
    pipeline = outline(b.network(), RtlConfig(pixels_per_clock=lanes))
    frame = pipeline.input.beats
    waits = max(m.capacity for m in pipeline.modules if isinstance(m, FifoModule))
    assert frame < waits < frame + 40
    clocks = timing(pipeline)
    assert clocks.interval == frame
    assert clocks.latency == clocks.sustained_latency > 2 * frame

import errno
import json
import re

import numpy as np
import pytest
from strategies import counts, small

from trigger_ml.core.config import RtlConfig
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.firmware.ir.interpreter import logits
from trigger_ml.firmware.ir.network import Dense, Input, Network
from trigger_ml.firmware.rtl.beats import from_beats, pack, to_beats, unpack
from trigger_ml.firmware.rtl.dataflow import Stream
from trigger_ml.firmware.rtl.project import TOP, design, sources, write_project
from trigger_ml.firmware.rtl.simulate import Disturbance, build_netlist


@pytest.fixture(scope="module")
def project():
    return design(small(), RtlConfig(pixels_per_clock=2))


def test_one_file_per_layer_named_as_in_the_network(project):
    files = sources(project)
    assert {
        f"{TOP}.v",
        *(f"layer_{name}.v" for name in ("conv1", "conv1_kernel", "conv3", "flat", "dense6")),
    } <= set(files)
    for name, text in files.items():
        assert f"module {name.removesuffix('.v')} (" in text


def test_the_top_says_types_shapes_and_clocks(project):
    top = sources(project)[f"{TOP}.v"]
    assert "5 x 6 x 1 of ufixed<4,0>" in top
    assert f"a result every {project.timing.interval}, the first {project.timing.latency} after" in top
    assert "s_axis_tready" in top
    assert "m_axis_tvalid" in top


def test_generation_is_reproducible():
    first, second = (sources(design(small(), RtlConfig())) for _ in range(2))
    assert first == second


def test_the_project_on_disk(project, tmp_path):
    x = counts(np.random.default_rng(0), project.network, 3)
    folder = write_project(project, x, tmp_path / "rtl_project")
    assert json.loads((folder / "project.json").read_text())["interval"] == project.timing.interval
    frames = (folder / "sim" / "frames.hex").read_text().split()
    assert len(frames) == 3 * project.pipeline.input.beats
    # the first frame is full of the largest count
    assert set(frames[: project.pipeline.input.beats]) == {"ff"}
    expected = logits(project.network, x)["dense6"].ravel()
    results = (folder / "sim" / "results.hex").read_text().split()
    bits = 4 * len(results[0])
    assert [int(r, 16) for r in results] == [int(v) & ((1 << bits) - 1) for v in expected]
    assert "create_clock -name aclk -period 4.0" in (folder / "constraints" / f"{TOP}.xdc").read_text()
    assert "xcku115-flvb2104-2-i" in (folder / "build_vivado.tcl").read_text()
    vhdl = (folder / "vhdl" / "layer_conv1_kernel.vhd").read_text()
    assert re.search(r"entity layer_conv1_kernel is", vhdl)


def test_writing_again_replaces_the_folder(project, tmp_path):
    x = counts(np.random.default_rng(0), project.network, 1)
    folder = write_project(project, x, tmp_path / "again")
    (folder / "stale.txt").write_text("")
    write_project(project, x, folder)
    assert not (folder / "stale.txt").exists()


def test_a_failure_leaves_the_old_project(project, tmp_path, monkeypatch):
    x = counts(np.random.default_rng(0), project.network, 1)
    folder = write_project(project, x, tmp_path / "again")
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_project(project, x, folder)
    after = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("signed", [True, False])
def test_beats_hold_every_integer(signed):
    stream = Stream(3, 5, 2, 4, FixedPoint(signed, 7, 0))
    dtype = stream.dtype
    x = np.random.default_rng(0).integers(dtype.minimum, dtype.maximum + 1, (4, 3, 5, 2))
    np.testing.assert_array_equal(from_beats(to_beats(x, stream), stream), x)


def test_events_of_a_flat_input_are_frames_of_one_pixel():
    stream = Stream(1, 1, 16, 1, FixedPoint(True, 7, 0))
    x = np.random.default_rng(0).integers(-64, 64, (4, 16))
    np.testing.assert_array_equal(from_beats(to_beats(x, stream), stream)[:, 0, 0], x)


def test_a_project_of_a_network_on_features_is_written(tmp_path):
    rng, dtype = np.random.default_rng(1), FixedPoint(True, 8, 4)
    nodes = (
        Input("features", (), dtype, (16,)),
        Dense(
            "logit", ("features",), rng.integers(-8, 8, (16, 1)), FixedPoint(True, 4, 2), np.array([1]), dtype
        ),
    )
    network = Network(nodes, ("logit",))
    x = rng.integers(-128, 128, (3, 16))
    folder = write_project(design(network, RtlConfig(style="unrolled")), x, tmp_path / "flat")
    words = [int(line, 16) for line in (folder / "sim" / "frames.hex").read_text().split()]
    np.testing.assert_array_equal(
        words, [sum((int(v) & 255) << 8 * i for i, v in enumerate(row)) for row in x]
    )


def test_pack_is_little_endian():
    words = pack(np.array([[1, 2, 3]]), 12)
    assert words.tolist() == [[1 | 2 << 12 | (3 << 24 & 0xFFFFFFFF), 3 >> 8]]
    assert unpack(words, [(0, 12, False), (12, 12, True), (24, 12, False)]).tolist() == [[1, 2, 3]]


@pytest.mark.slow
def test_the_synthesized_netlist_gives_the_same_bits():
    project = design(small(), RtlConfig())
    simulator = build_netlist(project)
    x = counts(np.random.default_rng(0), project.network, 40)
    expected = logits(project.network, x)["dense6"]
    for disturbance in (Disturbance(), Disturbance(gap=0.4, stall=0.4)):
        np.testing.assert_array_equal(simulator(x, disturbance).outputs["dense6"], expected)

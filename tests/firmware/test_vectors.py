"""Golden vectors on disk."""

import json

import numpy as np
import pytest

from trigger_ml.core.errors import InputError
from trigger_ml.firmware.ir.interpreter import evaluate
from trigger_ml.firmware.vectors import read_vectors, write_testbench, write_vectors


@pytest.mark.parametrize("seed", [2, 5, 9])
def test_all_forms_hold_the_same_integers(make, tmp_path, seed):
    network = make.network(seed)
    counts = make.counts(network, 4, seed)
    folder = tmp_path / "vectors"
    write_vectors(network, counts, folder, event_ids=np.arange(10, 14))
    expected = evaluate(network, counts)
    manifest, arrays = read_vectors(folder)
    assert manifest["event_ids"] == [10, 11, 12, 13]
    assert manifest["outputs"] == list(network.outputs)
    assert list(manifest["nodes"]) == [node.name for node in network.nodes]
    for name, entry in manifest["nodes"].items():
        np.testing.assert_array_equal(arrays[name], expected[name])
        text = np.loadtxt(folder / entry["dat"], dtype=np.int64, ndmin=2)
        np.testing.assert_array_equal(text, expected[name].reshape(4, -1))
        assert entry["shape"] == list(network.shapes[name])
        if "mem" in entry:
            width, signed = entry["type"]["width"], entry["type"]["signed"]
            raw = [int(line, 16) for line in (folder / entry["mem"]).read_text().split()]
            assert max(raw) < 2**width
            values = [n - 2**width if signed and n >= 2 ** (width - 1) else n for n in raw]
            np.testing.assert_array_equal(values, expected[name].reshape(-1))
    assert {name for name, e in manifest["nodes"].items() if "mem" in e} == {"counts", *network.outputs}


def test_a_new_folder_replaces_the_old_one(make, tmp_path):
    network = make.network(2)
    folder = tmp_path / "vectors"
    write_vectors(network, make.counts(network, 3), folder)
    (folder / "left-over").touch()
    write_vectors(network, make.counts(network, 2), folder)
    assert read_vectors(folder)[0]["events"] == 2
    assert not (folder / "left-over").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]


def test_a_failure_leaves_the_old_folder(make, tmp_path):
    network = make.network(2)
    folder = tmp_path / "vectors"
    write_vectors(network, make.counts(network, 3), folder)
    with pytest.raises(TypeError):
        write_vectors(network, make.counts(network, 2), folder, event_ids=[object(), object()])
    assert read_vectors(folder)[0]["events"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]


def test_no_vectors(tmp_path):
    with pytest.raises(InputError, match=r"test vectors|no such file"):
        read_vectors(tmp_path)
    (tmp_path / "vectors.json").write_text(json.dumps({"nodes": {}}))
    with pytest.raises(InputError, match=r"test vectors|no such file"):
        read_vectors(tmp_path)


def test_testbench_values_are_exact(make, tmp_path):
    network = make.network(4)
    counts = make.counts(network, 5)
    write_testbench(network, counts, tmp_path)
    inputs = np.loadtxt(tmp_path / "tb_data" / "tb_input_features.dat", ndmin=2)
    np.testing.assert_array_equal(inputs * 2.0**network.input.dtype.fraction, counts.reshape(5, -1))
    outputs = np.loadtxt(tmp_path / "tb_data" / "tb_output_predictions.dat", ndmin=2)
    expected = evaluate(network, counts)
    scaled = [expected[n] * 2.0 ** -network.types[n].fraction for n in network.outputs]
    np.testing.assert_array_equal(outputs, np.concatenate(scaled, axis=1))

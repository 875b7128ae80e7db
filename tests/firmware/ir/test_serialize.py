"""Networks on disk, new and old."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from trigger_ml.core.errors import InputError
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.ir.interpreter import evaluate, logits
from trigger_ml.firmware.ir.network import FORMAT_VERSION, Dense

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("seed", range(6))
def test_a_network_survives(make, tmp_path, seed):
    network = make.network(seed)
    path = tmp_path / "network.npz"
    serialize.save(network, path)
    loaded = serialize.load(path)
    assert loaded.outputs == network.outputs
    assert loaded.metadata == network.metadata
    assert loaded.types == network.types
    counts = make.counts(network, 5)
    expected = evaluate(network, counts)
    for name, values in evaluate(loaded, counts).items():
        np.testing.assert_array_equal(values, expected[name])


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_file_of_every_version_still_gives_its_logits(version):
    """The fixtures were written when their format was new; they must load for ever."""
    network = serialize.load(DATA / f"network-v{version}.npz")
    assert network.format == version
    with np.load(DATA / f"network-v{version}-logits.npz") as expected:
        found = logits(network, expected["counts"])
        assert set(found) == set(expected.files) - {"counts"}
        for name, values in found.items():
            np.testing.assert_array_equal(values, expected[name])
    assert network.metadata["camera"] == "test"


def test_a_field_that_a_node_gained_has_its_default_in_an_older_file(monkeypatch):
    """Every op of the file gains one; a field without a default that is missing is still an error."""

    @dataclass(frozen=True, eq=False)
    class Slower(Dense):
        reuse: int = 1

    monkeypatch.setitem(serialize.NODE_TYPES, "dense", Slower)
    network = serialize.load(DATA / "network-v1.npz")
    grown = [node for node in network.nodes if isinstance(node, Slower)]
    assert grown
    assert all(node.reuse == 1 for node in grown)

    @dataclass(frozen=True, eq=False)
    class Unknown(Dense):
        reuse: int = field(kw_only=True)

    monkeypatch.setitem(serialize.NODE_TYPES, "dense", Unknown)
    with pytest.raises(InputError, match=r"network-v1\.npz"):
        serialize.load(DATA / "network-v1.npz")


def with_structure(path, **changes):
    with np.load(path) as arrays:
        content = dict(arrays)
    structure = {**json.loads(bytes(content["structure"])), **changes}
    content["structure"] = np.frombuffer(json.dumps(structure).encode(), dtype=np.uint8)
    np.savez(path, **content)


def test_a_newer_format_is_refused(make, tmp_path):
    path = tmp_path / "network.npz"
    serialize.save(make.network(1), path)
    with_structure(path, format=FORMAT_VERSION + 1)
    with pytest.raises(InputError, match=r"newer.*Upgrade"):
        serialize.load(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.unlink(),
        lambda p: p.write_bytes(b"no zip"),
        lambda p: p.write_bytes(p.read_bytes()[:200]),
        lambda p: p.write_bytes(b""),
        lambda p: np.savez(p, other=np.zeros(3)),
        lambda p: with_structure(p, nodes=[{"op": "transmogrify", "name": "x"}]),
        lambda p: with_structure(p, outputs=["nowhere"]),
        lambda p: with_structure(p, nodes=[]),
        lambda p: with_structure(p, format="one"),
    ],
    ids=["missing", "no zip", "truncated", "empty", "other", "op", "output", "no nodes", "version"],
)
def test_a_bad_file_is_named(make, tmp_path, damage):
    path = tmp_path / "network.npz"
    serialize.save(make.network(2), path)
    damage(path)
    with pytest.raises(InputError, match=r"network\.npz"):
        serialize.load(path)

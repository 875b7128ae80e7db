"""The compiled emulator against the interpreter: every bit of every node that it stores."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "rtl"))

from strategies import Builder, counts, networks, resnet, small

from trigger_ml.core.errors import InputError, MappingError, StageError
from trigger_ml.core.fixed_point import FixedPoint, Overflow, Rounding
from trigger_ml.firmware.engines.native import NativeBackend
from trigger_ml.firmware.ir.interpreter import evaluate
from trigger_ml.firmware.ir.network import Add, Flatten, GlobalAveragePool, Network
from trigger_ml.firmware.native import library
from trigger_ml.firmware.native.generate import TRANSLATIONS
from trigger_ml.firmware.native.library import FEATURES, FLAGS, NativeEmulator, compile_library
from trigger_ml.firmware.native.plan import Plan
from trigger_ml.firmware.native.project import sources

# a compiler that does not optimize takes a tenth of the time
QUICK = tuple("-O0" if flag == "-O2" else flag for flag in FLAGS)
HERE = [name for name, needed in FEATURES.items() if needed <= library._features()]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("emulators")
    folder.chmod(0o700)
    return folder


def require_equal(
    network: Network, cache: Path, target: str | None = None, events: int = 21
) -> NativeEmulator:
    """Outputs and stored nodes of an emulator are the interpreter's."""
    emulator = NativeEmulator(network, compile_library(network, target, cache=cache, flags=QUICK), threads=1)
    x = counts(np.random.default_rng(0), network, events)
    expected = evaluate(network, x)
    for name, values in emulator.run(x).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    taps = emulator.taps(x)
    assert set(taps) == set(Plan(network).buffers)
    for name, values in taps.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=f"{name} in {target}")
    return emulator


@pytest.mark.parametrize("target", HERE)
def test_a_residual_network_is_equal_bit_for_bit(target: str, cache: Path) -> None:
    emulator = require_equal(resnet(), cache, target)
    # rows are kept as long as they are read, and no longer
    rows = {buffer.rows for buffer in emulator._plan.buffers.values() if buffer.is_map}
    assert max(rows) < 12


@settings(
    max_examples=3, deadline=None, phases=[Phase.generate], derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(network=networks())
def test_random_networks_are_equal_bit_for_bit(network: Network, cache: Path) -> None:
    require_equal(network, cache)


@pytest.mark.slow
@pytest.mark.parametrize("target", HERE)
def test_many_random_networks_are_equal_bit_for_bit(target: str, cache: Path) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(network=networks(max_layers=6))
    def go(network: Network) -> None:
        require_equal(network, cache, target)

    go()


def wide(bits: int, rounding: Rounding = Rounding.RND_CONV, overflow: Overflow = Overflow.SAT) -> Network:
    """Sums of about so many bits, from a signed input, quantized in every way."""
    b = Builder(np.random.default_rng(bits), (6, 5, 2), FixedPoint(True, 10, 9))
    per_layer = max(4, (bits - 14) // 2)
    x = b.conv("input", 4, bits=per_layer, sparsity=0.2)
    x = b.conv(x, 2, bits=per_layer, sparsity=0.2)
    y = b.quantize(x, FixedPoint(True, 9, 3), rounding, overflow)
    z = b.quantize(x, FixedPoint(False, 8, 6), rounding, overflow)
    x = b.add(Add("add", (x, y, z)))
    b.dense(b.add(Flatten("flat", (b.quantize(x, FixedPoint(True, 12, 4), rounding, overflow),))), 3)
    return b.network()


@pytest.mark.parametrize(
    ("bits", "rounding", "overflow"),
    [
        (20, Rounding.TRN, Overflow.WRAP),
        (36, Rounding.RND_CONV, Overflow.WRAP),
        (52, Rounding.RND, Overflow.WRAP),
        (52, Rounding.TRN, Overflow.SAT),
    ],
)
def test_every_rounding_and_overflow_in_every_width(
    bits: int, rounding: Rounding, overflow: Overflow, cache: Path
) -> None:
    network = wide(bits, rounding, overflow)
    require_equal(network, cache)
    widths = {Plan(network).sum_bits(step) for step in Plan(network).steps if step.op != "flatten"}
    assert max(widths) == {20: 32, 36: 64, 52: 64}[bits]


def test_channels_are_multiplied_in_pairs_where_weights_are_bytes(cache: Path) -> None:
    found = []
    for bits in (8, 10):
        b = Builder(np.random.default_rng(1), (6, 6, 1), FixedPoint(False, 8, 8))
        x = b.quantize(b.conv("input", 4), FixedPoint(False, 3, 2))
        y = b.quantize(b.conv(x, 4, (1, 1), same=False, bits=bits, sparsity=0.0))
        b.dense(b.add(GlobalAveragePool("pool", (y,), 4)), 1)
        network = b.network()
        require_equal(network, cache)
        assert Plan(network).sum_bits(network["conv3"]) == 16
        found.append(Plan(network).buffers[x].paired)
    assert found == [True, False]


def test_a_large_layer_is_a_table(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trigger_ml.firmware.native.plan.STATEMENTS", 10)
    network = resnet(size=(6, 6), stages=((4, 2),))
    assert "where[k]" in sources(network)["network.cpp"]
    require_equal(network, cache)


def test_any_number_of_events_threads_and_types(cache: Path) -> None:
    network = small()
    quick = compile_library(network, cache=cache, flags=QUICK)
    emulator = NativeEmulator(network, quick, threads=3)
    x = counts(np.random.default_rng(3), network, 3 * library.BLOCK // 8)
    many = np.concatenate([x] * 9)
    expected = evaluate(network, x)["dense6"]
    np.testing.assert_array_equal(emulator.run(many)["dense6"], np.concatenate([expected] * 9))
    for n in (0, 1, 7, 33):
        np.testing.assert_array_equal(emulator.run(x[:n].astype(np.int16))["dense6"], expected[:n])


def test_counts_outside_the_input_type_are_refused(cache: Path) -> None:
    network = small()
    emulator = NativeEmulator(network, compile_library(network, cache=cache, flags=QUICK))
    x = np.zeros((3, *network.input.size), np.uint8)
    for wrong in (16, 255):
        x[2, 1, 1] = wrong
        with pytest.raises(ValueError, match=rf"\[0, {wrong}\], outside"):
            emulator.run(x)
    with pytest.raises(ValueError, match="takes integers"):
        emulator.run(np.zeros((3, 5, 5, 1), np.uint8))
    with pytest.raises(ValueError, match="takes integers"):
        emulator.run(np.zeros((3, *network.input.size)))


def test_it_is_compiled_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small()
    first = compile_library(network, cache=cache, flags=QUICK)
    calls = []
    monkeypatch.setattr(library, "run_program", lambda command, *_: calls.append(command) or run(command))
    run = lambda command: subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: E731
    assert compile_library(network, cache=cache, flags=QUICK) == first
    # the compiler said its version, and nothing else
    assert [len(command) for command in calls] == [2]


def test_two_emulators_live_in_one_process(cache: Path) -> None:
    one, other = require_equal(small(), cache), require_equal(resnet(), cache)
    require_equal(small(), cache)
    with pytest.raises(InputError, match="the emulator of another network"):
        NativeEmulator(one.network, other.library)


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "stranger"])
def test_what_was_not_compiled_here_is_not_loaded(cache: Path, tmp_path: Path, damage: str) -> None:
    """Loading half a library ends the process; one of a stranger's would do whatever it likes."""
    network = small()
    library_ = compile_library(network, cache=cache, flags=QUICK)
    content = library_.read_bytes()
    path = tmp_path / "emulator.so"
    damaged = {"cut": content[:1000], "text": b"no library", "empty": b"", "stranger": content}[damage]
    path.write_bytes(damaged)
    if damage != "stranger":
        shutil.copy(library_.with_suffix(".sha256"), path.with_suffix(".sha256"))
    with pytest.raises(InputError, match="not the library that was compiled"):
        NativeEmulator(network, path)
    # what the cache lost is made again
    library_.unlink()  # it is loaded: what is mapped into a process must not be cut off under it
    library_.write_bytes(damaged[:100])
    again = compile_library(network, cache=cache, flags=QUICK)
    assert again == library_
    NativeEmulator(network, again)


def test_a_library_that_others_can_change_is_not_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with pytest.raises(InputError, match="others can write"):
        compile_library(small(), cache=folder, flags=QUICK)


def test_a_compiler_that_fails_is_one_error(cache: Path) -> None:
    with pytest.raises(StageError, match=r"the C\+\+ compiler"):
        compile_library(small(), cache=cache, flags=(*QUICK, "-no-such-flag"))


def test_a_name_never_becomes_code(cache: Path) -> None:
    """Names reach comments and strings; a line's end, a backslash before it or a quote would leave them."""
    network = small()
    names = {node.name: f"{node.name}\n#error \"\\' ??/ */ é ☃ \\" for node in network.nodes}
    renamed = [
        replace(node, name=names[node.name], inputs=tuple(names[i] for i in node.inputs))
        for node in network.nodes
    ]
    metadata = {"name": '*/ #error \n "', "camera": '"; \u2028 é ☃ ?' + "x" * 3000}
    strange = Network(tuple(renamed), tuple(names[o] for o in network.outputs), metadata)
    emulator = require_equal(strange, cache)
    facts = emulator._functions["facts"]().contents
    assert json.loads(facts.metadata) == metadata
    assert facts.node_names[1].decode() == names["conv1"]


def test_an_op_without_translation_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TRANSLATIONS.entries, Flatten)
    with pytest.raises(MappingError, match=r"layer flat.*flatten"):
        sources(small())


def test_the_engine_names_what_is_stored(cache: Path) -> None:
    backend = NativeBackend(require_equal(small(), cache))
    assert backend.name == "native"
    assert backend.type_of("quantize2") == "uint8_t"
    assert backend.type_of("conv1") == "not stored"


MAIN = """
#include "emulator.h"
#include <cstdio>
#include <vector>
int main() {
    std::vector<unsigned char> counts(kEvents * kValues), space(PREFIXworkspace());
    std::vector<int64_t> logits(kEvents * PREFIXfacts()->outputs);
    if (std::fread(counts.data(), 1, counts.size(), stdin) != counts.size()) return 9;
    const int code = PREFIXrun(counts.data(), kEvents, logits.data(), space.data());
    std::fwrite(logits.data(), sizeof(int64_t), logits.size(), stdout);
    return code;
}
"""


@pytest.mark.parametrize(
    "target", [pytest.param(name, marks=[] if name == "plain" else [pytest.mark.slow]) for name in HERE]
)
def test_sanitizers_are_silent(target: str, tmp_path: Path) -> None:
    """Neither an address nor an operation that C++ leaves undefined."""
    network = resnet(size=(7, 6), stages=((4, 2),), stem=3)
    for name, text in sources(network).items():
        (tmp_path / name).write_text(text)
    from trigger_ml.firmware.native.project import prefix

    values = int(np.prod(network.input.size))
    main = MAIN.replace("PREFIX", prefix(network)).replace("kEvents", "37").replace("kValues", str(values))
    (tmp_path / "main.cpp").write_text(main)
    compiler = shutil.which("g++")
    assert compiler
    flags = ["-std=c++17", "-O1", "-g", "-Wno-psabi", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
    options = [*library.TARGETS[target], f"-DTML_TARGET={target}", f"-DTML_WITH_{target.upper()}"]
    command = [compiler, *flags, *options, "main.cpp", "network.cpp", "emulator.cpp", "-o", "check"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    x = counts(np.random.default_rng(5), network, 37).astype(np.uint8)
    done = subprocess.run([tmp_path / "check"], input=x.tobytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found = np.frombuffer(done.stdout, np.int64).reshape(37, -1)
    np.testing.assert_array_equal(found, evaluate(network, x)[network.outputs[0]])

"""Emulations of many files: divided, resumed after kills, with bad files among good ones; what they write."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from contract import Product
from ctapipe.io import TableLoader, read_table
from emulating import killed, serve_and_die
from killing import content_of
from scipy.special import expit

from trigger_ml.core.errors import InputError
from trigger_ml.core.fixed_point import FixedPoint
from trigger_ml.evaluation.direction import sky_direction
from trigger_ml.events.dl1 import write_dl1
from trigger_ml.events.table import EventTable
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.ir.network import Dense, Network
from trigger_ml.firmware.native import library
from trigger_ml.firmware.onnx.writer import build_emulator
from trigger_ml.instrument.digicam import sst1m_subarray
from trigger_ml.pipeline import crew
from trigger_ml.pipeline.emulate import EmulationSummary, Write, emulate_files
from trigger_ml.pipeline.pieces import Worker

N = 60
ARRAY = sst1m_subarray([(0, 0, 0), (90, 0, 0)])


def events(obs_id: int, telescopes: int = 1, lit: float = 0.1) -> EventTable:
    rng = np.random.default_rng(obs_id)
    event_id = np.repeat(np.arange(N), telescopes)
    n = len(event_id)
    image = np.zeros((n, 1296), np.float32)
    image[:, : int(lit * 1296)] = 1 + rng.exponential(3, (n, 1)).astype(np.float32)
    image[11, 3] = np.nan
    return EventTable(
        obs_id=np.full(n, obs_id), event_id=event_id, tel_id=np.tile(np.arange(1, telescopes + 1), N),
        image=image, peak_time=np.full_like(image, 7), pointing_alt=np.full(n, 1.2),
        pointing_az=np.full(n, 0.3),
    )  # fmt: skip


def largest(table: EventTable) -> np.ndarray[Any, Any]:
    """The oracle: the largest count of each usable event, as a fraction of 256."""
    images = table.image[np.isfinite(table.image).all(axis=1)]
    return np.asarray(np.clip(np.rint(images.max(axis=1) / 0.5), 0, 255) / 256)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One telescope, two telescopes, one again."""
    folder = tmp_path_factory.mktemp("night")
    paths = []
    for obs_id, telescopes in ((3, 1), (4, 2), (5, 1)):
        paths.append(folder / f"{obs_id}.dl1.h5")
        write_dl1(paths[-1], events(obs_id, telescopes), ARRAY, parameters=False)
    return paths


def emulator(path: Path, network: Network, **metadata: Any) -> Path:
    path.write_bytes(
        build_emulator(replace(network, metadata={**network.metadata, **metadata})).SerializeToString()
    )
    return path


@pytest.fixture
def onnx(tmp_path: Path, network: Network) -> Path:
    return emulator(tmp_path / "e.onnx", network)


def answers(path: Path, kind: str = "particle_type", tel_id: int = 1) -> Any:
    return read_table(path, f"/dl2/event/telescope/{kind}/trigger_ml/tel_{tel_id:03d}")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, files: list[Path], network: Network) -> Any:
    folder = tmp_path_factory.mktemp("whole")
    emulate_files(emulator(folder / "e.onnx", network), files, folder / "out.h5", workers=1)
    return content_of(folder / "out.h5")


def test_the_answers_are_right_and_array_events_together(
    files: list[Path], onnx: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.h5"
    summary = emulate_files(onnx, files, output, workers=1, part=17)
    assert (summary.events, summary.dropped) == (4 * N - 3, {"pixel not finite": 3})
    logit = 1.5 * np.concatenate([largest(events(obs, n)) for obs, n in ((3, 1), (4, 2), (5, 1))]) - 0.5
    found = np.concatenate([answers(output, tel_id=tel)["trigger_ml_tel_logit"] for tel in (1, 2)])
    np.testing.assert_allclose(np.sort(found), np.sort(logit))
    one = answers(output)
    np.testing.assert_array_equal(one["trigger_ml_tel_accepted"], one["trigger_ml_tel_prediction"] >= 0.5)
    assert summary.accepted == (logit >= 0).sum()
    with TableLoader(output, dl1_images=False, true_images=False) as loader:
        assert len(loader) == 3 * N - 2
        assert len(loader.read_telescope_events(dl2=True)) == 4 * N - 3
    triggers = read_table(output, "/dl1/event/telescope/trigger")
    stereo = triggers[triggers["obs_id"] == 4]
    np.testing.assert_array_equal(stereo["event_id"], np.sort(stereo["event_id"]))
    assert not list(tmp_path.glob("*.parts"))


def test_divided_in_any_way_it_is_the_same(
    files: list[Path], onnx: Path, tmp_path: Path, expected: Any
) -> None:
    for workers, part in ((1, 13), (2, 29)):
        output = tmp_path / f"{part}.h5"
        emulate_files(onnx, files, output, workers=workers, part=part)
        assert content_of(output) == expected


def kill_often(
    network: Path, files: list[Path], folder: Path, expected: Any, times: int, workers: Callable[[int], int]
) -> int:
    """Kill an emulation at random moments until it is whole; how often that was."""
    rng = np.random.default_rng(times)
    kills = 0
    for number in range(times):
        output = folder / str(number) / "out.h5"
        output.parent.mkdir()
        for _ in range(3):
            there = len(list(output.parent.glob("*.parts/*/0*.npz")))
            if not killed(
                network,
                files,
                output,
                workers(number),
                there + int(rng.integers(0, 12)),
                rng.uniform(0, 0.05),
            ):
                break
            kills += 1
            assert not output.exists() or content_of(output) == expected
        if not output.exists():
            summary = emulate_files(network, files, output, workers=1, part=9)
            assert summary.events == 4 * N - 3
        assert content_of(output) == expected
        assert not list(output.parent.glob("*.parts"))
    return kills


def test_killed_and_started_again_it_is_the_same(
    files: list[Path], onnx: Path, tmp_path: Path, expected: Any
) -> None:
    kill_often(onnx, files, tmp_path, expected, 2, lambda number: 1)


@pytest.mark.slow
def test_killed_twenty_times_and_started_again_it_is_the_same(
    files: list[Path], onnx: Path, tmp_path: Path, expected: Any
) -> None:
    assert kill_often(onnx, files, tmp_path, expected, 20, lambda number: 1 + number % 2) > 10


def test_what_was_finished_is_not_done_again(
    files: list[Path], onnx: Path, tmp_path: Path, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad file ends it, what is finished stays, and the next one goes on; damaged parts are made again."""
    output, bad = tmp_path / "out.h5", tmp_path / "bad.dl1.h5"
    bad.write_bytes(files[1].read_bytes()[:5000])
    with pytest.raises(InputError, match=r"bad\.dl1\.h5"):
        emulate_files(onnx, [files[0], bad, files[2]], output, workers=1, part=20)
    parts = sorted(tmp_path.glob("out.h5.parts/*/0*.npz"))
    assert len(parts) == N // 20
    assert not output.exists()
    parts[1].write_bytes(parts[1].read_bytes()[:100])
    written = []
    write = Worker._write
    monkeypatch.setattr(
        Worker, "_write", lambda *args: written.append((args[2].file, args[3])) or write(*args)
    )
    summary = emulate_files(onnx, files, output, workers=1, part=20)
    assert [part for file, part in written if file == 0] == [1]
    assert summary.resumed == 2 * N // 3 - 1 or summary.resumed == 2 * N // 3
    assert content_of(output) == expected


def test_a_bad_file_among_good_ones(product: Product, files: list[Path], onnx: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.h5"
    bad, none = tmp_path / "bad.dl1.h5", tmp_path / "none.h5"
    bad.write_bytes(files[1].read_bytes()[:5000])
    inputs = [files[0], bad, none, files[2]]
    code, said = product.run("emulate", onnx, *inputs, "-o", output)
    assert code == 2
    assert str(none) in said
    code, _ = product.run("emulate", onnx, *inputs, "-o", output, "--keep-going")
    assert code == 1
    assert set(answers(output)["obs_id"]) == {3, 5}
    summary = emulate_files(onnx, inputs, output, keep_going=True, overwrite=True)
    assert list(summary.failed) == [bad, none]
    assert all(str(path) in " ".join(summary.lines()) for path in (bad, none))


def test_a_file_that_ends_its_process_is_named(
    files: list[Path], onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.h5"
    monkeypatch.setattr(crew, "_serve", serve_and_die)
    summary = emulate_files(onnx, files, output, workers=2, keep_going=True)
    assert list(summary.failed) == [files[1]]
    assert f"signal {signal.SIGSEGV.value}" in str(summary.failed[files[1]])
    assert set(answers(output)["obs_id"]) == {3, 5}


def test_two_that_write_one_output(files: list[Path], onnx: Path, tmp_path: Path) -> None:
    from trigger_ml.pipeline.parts import parts_folder

    output = tmp_path / "out.h5"
    with parts_folder(output), pytest.raises(InputError, match="another process is writing it"):
        emulate_files(onnx, files[:1], output)


def test_thresholds_and_what_is_written(
    product: Product, files: list[Path], onnx: Path, tmp_path: Path
) -> None:
    gammaness = expit(1.5 * largest(events(3)) - 0.5)
    threshold = float(np.median(gammaness))
    good = gammaness >= threshold
    assert 0 < good.sum() < len(good)
    kept = events(3)[np.isfinite(events(3).image).all(axis=1)]
    for write in Write:
        output = tmp_path / f"{write}.h5"
        summary = emulate_files(onnx, files[:1], output, accept=threshold, write=write, part=13)
        assert (summary.events, summary.accepted) == (N - 1, good.sum())
        rows = answers(output)
        np.testing.assert_array_equal(
            rows["event_id"], kept.event_id if write is Write.ALL else kept.event_id[good]
        )
        if write is Write.ALL:
            np.testing.assert_array_equal(rows["trigger_ml_tel_accepted"], good)
        if write is Write.IMAGES:
            images = read_table(output, "/dl1/event/telescope/images/tel_001")
            np.testing.assert_array_equal(images["event_id"], kept.event_id[good])
            np.testing.assert_array_equal(images["image"], kept.image[good])
            np.testing.assert_allclose(images["peak_time"], 7)
            with TableLoader(output, dl1_images=True, true_images=False, dl1_parameters=False) as loader:
                assert len(loader.read_telescope_events(dl2=True)) == good.sum()
    for more in (("--accept", "1.5"), ("--write", "some")):
        assert product.run("emulate", onnx, files[0], "-o", tmp_path / "no.h5", *more)[0] == 2


def test_energies(files: list[Path], network: Network, tmp_path: Path) -> None:
    path, output = emulator(tmp_path / "energy.onnx", network, task="energy"), tmp_path / "out.h5"
    energy = 10 ** (1.5 * largest(events(3)) - 0.5)
    summary = emulate_files(path, files[:1], output)
    assert summary.accepted is None
    found = answers(output, "energy")["trigger_ml_tel_energy"]
    np.testing.assert_allclose(found.quantity.to_value(u.TeV), energy)
    with pytest.raises(InputError, match="nothing says which events are accepted"):
        emulate_files(path, files[:1], tmp_path / "x.h5", write=Write.ACCEPTED)
    least = float(np.sort(energy)[N // 3])
    summary = emulate_files(path, files[:1], output, accept=least, overwrite=True, write=Write.ACCEPTED)
    assert summary.accepted == (energy >= least).sum() == len(answers(output, "energy")) < N - 1


def test_directions(files: list[Path], network: Network, tmp_path: Path) -> None:
    weights = FixedPoint(True, 4, 1), np.array([-2, 1]), FixedPoint(True, 4, 2)
    two = replace(
        network, nodes=(*network.nodes[:-1], Dense("logit", ("flat",), np.array([[3, -2]]), *weights))
    )
    path, output = emulator(tmp_path / "direction.onnx", two, task="direction"), tmp_path / "out.h5"
    emulate_files(path, files[:1], output)
    light = largest(events(3))
    offsets = np.stack([1.5 * light - 0.5, 0.25 - light], axis=1)
    alt, az = sky_direction(offsets, np.full(len(light), 1.2), np.full(len(light), 0.3))
    found = answers(output, "geometry")
    np.testing.assert_allclose(found["trigger_ml_tel_alt"].quantity.to_value(u.rad), alt)
    np.testing.assert_allclose(found["trigger_ml_tel_az"].quantity.to_value(u.rad), az)
    with pytest.raises(InputError, match="nothing to accept by"):
        emulate_files(path, files[:1], tmp_path / "x.h5", accept=0.5)


def test_a_file_is_judged_whole_however_it_is_divided(network: Network, tmp_path: Path) -> None:
    """Its first events are outside of the training's conditions; the column tells of each."""
    domain = {"ranges": {"dark": [0.8, 1.0]}, "triggers": ["SUBARRAY"]}
    path = emulator(tmp_path / "e.onnx", network, domain=domain)
    good, bad = events(3), events(3, lit=0.9)
    said = []
    for outside in (29, 31):
        first = np.arange(N)[:, np.newaxis] < outside
        table = replace(good, image=np.where(first, bad.image, good.image))
        night = tmp_path / f"{outside}.dl1.h5"
        write_dl1(night, table, ARRAY, parameters=False)
        for part in (4, 1000):
            output = tmp_path / f"{outside}-{part}.h5"

            def go(
                night: Path = night, output: Path = output, part: int = part, **more: Any
            ) -> EmulationSummary:
                return emulate_files(path, [night], output, part=part, **more)

            if 2 * (outside - 1) >= N - 1:
                with pytest.raises(InputError, match="pixels whose count is zero") as caught:
                    go()
                said.append(str(caught.value))
                # nothing is computed again
                summary = go(outside_domain=True)
                assert summary.resumed == N - 1
            else:
                summary = go()
            said.append(str(summary.warnings))
            column = answers(output)["trigger_ml_tel_domain"]
            np.testing.assert_array_equal(column == 2, np.delete(np.arange(N), 11) < outside)
    # whole and in parts, it says the same
    assert said[0] == said[1]
    assert said[2:4] == said[4:6]


def test_progress_is_told_in_logs(
    files: list[Path], onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("trigger_ml.pipeline.watch.EVERY", 0.0)
    emulate_files(onnx, files, tmp_path / "out.h5", part=20)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(f"{4 * N - 3} events, ")
    assert "100 % of the files, about 0 s left" in lines[-1]


def test_the_second_start_does_not_compile(
    files: list[Path], network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "network.npz"
    serialize.save(network, path)
    emulate_files(path, files[:1], tmp_path / "first.h5")
    ran, run = [], library.run_program
    monkeypatch.setattr(
        library, "run_program", lambda command, *more: ran.append(command) or run(command, *more)
    )
    emulate_files(path, files[:1], tmp_path / "second.h5")
    assert all("-dumpfullversion" in command for command in ran)
    assert content_of(tmp_path / "first.h5") == content_of(tmp_path / "second.h5")

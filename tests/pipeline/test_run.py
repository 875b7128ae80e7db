"""One small experiment from events to report, and what users do with it; the run is made once."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from ctapipe.io import TableLoader, read_table
from onnx import numpy_helper
from typer.testing import CliRunner

from trigger_ml import cli
from trigger_ml.core.errors import TriggerMLError
from trigger_ml.core.run import RunDirectory
from trigger_ml.events.quantize import charge_rule, to_counts
from trigger_ml.events.sources import open_events, source_noise
from trigger_ml.firmware.hls.csim import Csim
from trigger_ml.firmware.hls.project import HlsProject
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.onnx.emulator import Emulator
from trigger_ml.instrument.camera import AxialGrid
from trigger_ml.pipeline.decisions import load_emulator
from trigger_ml.pipeline.emulate import emulate_files
from trigger_ml.pipeline.stages import STAGES

EXPERIMENT = {
    "name": "tiny",
    "simulation": {
        "library_scale": 0.02,
        # as many skies as telescopes see, so that recorded events are like those of the training
        "nuisances": {"night_sky": [0.03, 0.25], "gain": [0.9, 1.1], "dead_pixels": [0.0, 0.02]},
        "night_sky_events": 64,
        "particles": {
            "gamma": {"events": 300},
            "proton": {"events": 300, "energy_min": 0.5, "energy_max": 300.0, "view_cone": 8.0},
        },
    },
    "model": {
        "stem_filters": 4,
        "stem_strides": 4,
        "stages": [{"filters": 4}, {"filters": 8, "strides": 2}],
    },
    "train": {"epochs": 1, "tensorboard": False},
    "compression": {"epochs": 1},
    "firmware": {"vectors": 4},
    "verify": {"csim_events": 30, "random_corners": 4, "random_events": 500},
    "evaluation": {"bootstrap": 20},
}

REAL = {
    "simtel-prod4": (
        "sst1m-prod4-simtel/gamma_20deg_0deg_run102___cta-prod4-sst-1m_desert-2150m-Paranal-sst-1m.simtel.zst"
    ),
    "simtel-digicam": "digicam-simtel-small/simtel_test_file.simtel.gz",
    "raw-32": "sst1m-digicam-raw/example_SST1M_20180822.fits.fz",
    "raw-1": "sst1m-digicam-raw/SST1M_01_20180822_001.fits.fz",
}
EVENTS = {"simtel-prod4": 129, "simtel-digicam": 9, "raw-32": 32, "raw-1": 1}


def invoke(*arguments: object) -> tuple[int, str]:
    """Exit code and output of the command line, errors handled as `trigger_ml.cli.main` does."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    if isinstance(result.exception, TriggerMLError):
        return result.exception.exit_code, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiment") / "tiny.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT))
    return path


@pytest.fixture(scope="session")
def run(config: Path) -> Path:
    directory = config.parent / "run"
    code, output = invoke("run", config, "--run", directory)
    assert code == 0, output
    assert "0 mismatches" in output
    return directory


KEPT = ("manifest.json", "verification.json", "onnx/emulator.onnx")


def copy_of(run: Path, target: Path) -> Path:
    shutil.copytree(run, target)
    return target


def test_the_run_leaves_everything(run: Path) -> None:
    for name in (
        "manifest.json",
        "events/gamma.dl1.h5",
        "events/proton.dl1.h5",
        "model/float/model.h5",
        "model/compressed/model.h5",
        "model/model.json",
        "network/network.npz",
        "onnx/emulator.onnx",
        "onnx/float.onnx",
        "firmware/hls/firmware/trigger_tiny.cpp",
        "firmware/vectors/vectors.npz",
        "verification.json",
        "evaluation.json",
        "resources.json",
        "predictions/float/gamma.dl2.h5",
        "predictions/compressed/proton.dl2.h5",
        "report.html",
        "figures/roc.png",
        "figures/roc.pdf",
    ):
        assert (run / name).stat().st_size > 0, name
    assert not list(run.rglob(".partial-*"))


def test_every_backend_agrees_on_every_bit(run: Path) -> None:
    verification = json.loads((run / "verification.json").read_text())
    assert set(verification["backends"]) == {"qkeras", "onnx", "native", "csim"}
    for name, backend in verification["backends"].items():
        assert backend["mismatches"] == 0, name
        assert backend["corner_inputs"] == verification["corner_inputs"] > 20
    assert verification["backends"]["onnx"]["events"] == verification["events"] > 120
    assert verification["backends"]["csim"]["events"] == 30
    assert verification["exact_float32"]


def test_trace_shows_every_engine_that_verify_compares(run: Path, tmp_path: Path) -> None:
    directory = copy_of(run, tmp_path / "run")
    # to look into the C simulation takes minutes of compilation
    shutil.rmtree(directory / "firmware" / "hls")
    code, output = invoke("trace", directory, "--event", "0")
    assert code == 0, output
    traced = json.loads((directory / "trace" / "event-0.json").read_text())
    verified = json.loads((run / "verification.json").read_text())
    assert set(traced["backends"]) == {"interpreter", *verified["backends"]} - {"csim"}
    assert "native" in output
    assert traced["first_difference"] == {}


def test_the_sparsity_asked_is_reached(run: Path) -> None:
    model = json.loads((run / "model" / "model.json").read_text())
    assert model["compressed"]["sparsity"] >= 0.5
    with np.load(run / "network" / "network.npz") as arrays:
        kernels = [arrays[name] for name in arrays.files if name.endswith("/kernel")]
    weights, zeros = sum(k.size for k in kernels), sum(int((k == 0).sum()) for k in kernels)
    assert model["compressed"]["weights"] == weights
    assert model["compressed"]["sparsity"] == pytest.approx(zeros / weights)


def test_predictions_are_those_of_the_test_events(run: Path) -> None:
    evaluation = json.loads((run / "evaluation.json").read_text())
    events = sum(
        len(read_table(path, "/dl2/event/telescope/particle_type/trigger_ml_compressed/tel_001"))
        for path in (run / "predictions" / "compressed").iterdir()
    )
    assert events == evaluation["events"]["given"] == evaluation["events"]["used"]
    verification = json.loads((run / "verification.json").read_text())
    assert events == verification["events"]


def times(run: Path) -> dict[Path, int]:
    """When each result of a run was written."""
    skipped = ("manifest.json", ".lock")
    return {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file() and p.name not in skipped}


def test_a_second_run_does_nothing(run: Path, config: Path) -> None:
    before = times(run)
    code, output = invoke("run", config, "--run", run)
    assert code == 0
    assert output.count("done before, unchanged") == len(STAGES)
    assert times(run) == before


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "same"), [(1, True), (2, False)])
def test_another_seed_of_the_compression_trains_from_the_same_float_model(
    run: Path, tmp_path: Path, seed: int, same: bool
) -> None:
    """Null is the experiment's seed, which is 1."""
    path = tmp_path / "tiny.yaml"
    compression = {**EXPERIMENT["compression"], "seed": seed}
    path.write_text(yaml.safe_dump({**EXPERIMENT, "compression": compression}))
    other = copy_of(run, tmp_path / "run")
    code, output = invoke("compress", path, "--run", other)
    assert code == 0, output
    assert output.count("done before, unchanged") == 2
    networks = []
    for directory in (run, other):
        with np.load(directory / "network" / "network.npz") as arrays:
            networks.append({k: arrays[k] for k in arrays.files if k.endswith("/kernel")})
    assert all(np.array_equal(kernel, networks[1][k]) for k, kernel in networks[0].items()) == same


def test_hls_build_exports_the_projects(run: Path, config: Path, tmp_path: Path) -> None:
    code, output = invoke("hls-build", config, "--run", run, "--output", tmp_path)
    assert code == 0, output
    assert (tmp_path / "tiny" / "hls" / "firmware" / "trigger_tiny.cpp").exists()
    assert (tmp_path / "tiny" / "vectors" / "vectors.npz").exists()
    for name in ("resources.json", "verification.json"):
        assert json.loads((tmp_path / "tiny" / name).read_text()) == json.loads((run / name).read_text())
    readme = (tmp_path / "tiny" / "README.md").read_text()
    assert "| csim, bit for bit | 0 mismatches in 30 events" in readme
    # a tool that is absent is said to be, and gives no figure
    resources = json.loads((run / "resources.json").read_text())
    for entry in resources["hls"]["not_run"]:
        assert f"| hls, {entry['source']} | not run: {entry['reason']} |" in readme
    assert len(resources["hls"]["figures"]) + len(resources["hls"]["not_run"]) == 2


@pytest.mark.slow
def test_rtl_is_verified_and_measured(run: Path, config: Path, tmp_path: Path) -> None:
    directory, path = copy_of(run, tmp_path / "run"), tmp_path / "rtl.yaml"
    firmware = {"vectors": 4, "hls": None, "rtl": {"pixels_per_clock": 2}}
    settings = {
        **EXPERIMENT,
        "firmware": firmware,
        "verify": {"rtl_events": 40, "random_corners": 4, "random_events": 500},
    }
    path.write_text(yaml.safe_dump(settings))
    code, output = invoke("hls-build", path, "--run", directory, "--output", tmp_path / "projects")
    assert code == 0, output
    assert "synthesis: yosys" in output
    verification = json.loads((directory / "verification.json").read_text())
    calm, disturbed = (verification["backends"][name] for name in ("rtl", "rtl_disturbed"))
    assert calm["events"] == disturbed["events"] == 40
    assert calm["mismatches"] == disturbed["mismatches"] == 0
    assert calm["disturbance"]["gap"] == calm["disturbance"]["stall"] == 0
    assert disturbed["disturbance"]["gap"] > 0
    assert disturbed["disturbance"]["stall"] > 0
    resources = json.loads((directory / "resources.json").read_text())
    assert "hls" not in resources
    sources = {figure["source"] for figure in resources["rtl"]["figures"]}
    assert {"prediction", "synthesis: yosys"} <= sources
    assert (tmp_path / "projects" / "tiny" / "rtl" / "rtl" / "trigger_network.v").exists()


def test_compare_writes_a_page(run: Path, tmp_path: Path) -> None:
    other = copy_of(run, tmp_path / "other")
    page = tmp_path / "comparison.html"
    code, output = invoke("compare", run, other, "-o", page, "--to", other)
    assert code == 0, output
    assert "plotly" in page.read_text()
    code, message = invoke("compare", tmp_path / "none", "-o", page)
    assert code == 2
    assert "neither a run directory nor a sweep" in message


@pytest.mark.slow
def test_published_performance_can_be_laid_over(
    run: Path, config: Path, shared_data: Path, tmp_path: Path
) -> None:
    copied = copy_of(run, tmp_path / "run")
    code, output = invoke("report", config, "--run", copied, "--reference", shared_data / "sst1m-irf")
    assert code == 0, output
    assert (copied / "report.html").read_text() != (run / "report.html").read_text()


@pytest.fixture
def borrowed(run: Path) -> Iterator[Path]:
    """The run itself, what is changed of it kept: a copy would compile its C simulation again."""
    kept = {name: (run / name).read_bytes() for name in KEPT}
    yield run
    for name, content in kept.items():
        (run / name).write_bytes(content)


def test_one_flipped_bit_is_found_and_its_layer_named(borrowed: Path, config: Path) -> None:
    broken = borrowed
    path = broken / "onnx" / "emulator.onnx"
    model = onnx.load(path)
    layer = "s1b0_conv1"
    name = next(n.input[1] for n in model.graph.node if n.op_type == "Conv" and layer in n.name)
    (weights,) = [w for w in model.graph.initializer if w.name == name]
    values = numpy_helper.to_array(weights).copy()
    place = np.unravel_index(np.argmax(np.abs(values)), values.shape)
    unit = np.min(np.abs(values[values != 0]))
    values[place] += unit
    weights.CopyFrom(numpy_helper.from_array(values, name))
    onnx.save(model, path)
    # only the comparison must run again
    manifest = json.loads((broken / "manifest.json").read_text())
    del manifest["stages"]["verify"]
    (broken / "manifest.json").write_text(json.dumps(manifest))
    code, message = invoke("verify", config, "--run", broken)
    assert code == 1
    assert layer in message
    verification = json.loads((broken / "verification.json").read_text())
    assert verification["backends"]["onnx"]["mismatches"] > 0
    assert verification["backends"]["onnx"]["difference"]["layer"] == layer
    assert verification["backends"]["csim"]["mismatches"] == 0
    assert RunDirectory(broken).record("verify") is None


@pytest.mark.parametrize("name", REAL)
def test_emulate_real_events(run: Path, shared_data: Path, tmp_path: Path, name: str) -> None:
    output = tmp_path / "decisions.h5"
    # one clocked event in the dark, with the lid closed: no network was trained for that
    dark = name == "raw-1"
    if dark:
        with pytest.raises(
            TriggerMLError, match=r"without light: 0\.\d+ p\.e\., the network was trained from 1\."
        ):
            emulate_files(run, [shared_data / REAL[name]], output)
    summary = emulate_files(run, [shared_data / REAL[name]], output, outside_domain=dark)
    assert summary.events == EVENTS[name]
    (source,) = summary.noise.values()
    assert source.startswith("images of all events")
    telescopes = read_table_ids(output)
    rows = [
        read_table(output, f"/dl2/event/telescope/particle_type/trigger_ml/tel_{tel:03d}")
        for tel in telescopes
    ]
    assert sum(map(len, rows)) == EVENTS[name]
    logit = np.concatenate([r["trigger_ml_tel_logit"] for r in rows])
    gammaness = np.concatenate([r["trigger_ml_tel_prediction"] for r in rows])
    np.testing.assert_allclose(gammaness, 1 / (1 + np.exp(-logit)))
    # recorded under a sky of the training: most events are well inside
    domain = np.concatenate([r["trigger_ml_tel_domain"] for r in rows])
    assert np.isin(domain, (0, 1, 2)).all()
    assert (np.mean(domain == 2) >= 0.5) == dark
    if name.startswith("simtel"):
        with TableLoader(
            output, dl1_images=False, true_images=False, focal_length_choice="EQUIVALENT"
        ) as loader:
            loaded = loader.read_telescope_events(dl2=True)
        assert len(loaded) == EVENTS[name]
        assert np.isfinite(loaded["trigger_ml_tel_prediction"]).all()


def read_table_ids(path: Path) -> list[int]:
    import tables

    with tables.open_file(path) as h5:
        group = h5.get_node("/dl2/event/telescope/particle_type/trigger_ml")
        return [int(node.name.removeprefix("tel_")) for node in h5.iter_nodes(group, classname="Table")]


@pytest.mark.parametrize("name", REAL)
def test_csim_and_onnx_agree_on_real_events(run: Path, shared_data: Path, name: str) -> None:
    emulator = load_emulator(run)
    grid = AxialGrid.from_dict(emulator.metadata["grid"])
    source = open_events(shared_data / REAL[name], camera=grid.camera)
    config, noise = RunDirectory(run).config().events.input, source_noise(source)
    rule = charge_rule(config, noise.noise, grid.n_pixels)
    counts = np.concatenate([to_counts(noise.assign(table), config, grid, rule) for table in source])
    counts = counts[:40]
    assert counts.any()
    csim = Csim(HlsProject.open(run / "firmware" / "hls")).run(counts)
    (output,) = csim
    found = Emulator(run / "onnx" / "emulator.onnx").run(counts)[output]
    np.testing.assert_array_equal(csim[output], found)
    # what `emulate` gives is the same, by whichever engine
    emulated = (
        emulator.answer(counts)
        * 2.0 ** serialize.load(run / "network" / "network.npz").types[output].fraction
    )
    np.testing.assert_array_equal(csim[output], emulated)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("none.h5", None, "no such file"),
        ("text.h5", b"hello", "is neither"),
        ("cut.h5", "half", "cut.h5"),
        ("cut.fits.fz", "half-raw", "cut.fits.fz"),
    ],
)
def test_bad_input_files(
    run: Path, shared_data: Path, tmp_path: Path, name: str, content: bytes | str | None, expected: str
) -> None:
    path = tmp_path / name
    if content == "half":
        whole = (run / "events" / "gamma.dl1.h5").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif content == "half-raw":
        whole = (shared_data / REAL["raw-32"]).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif content is not None:
        path.write_bytes(content)
    output = tmp_path / "out" / "o.h5"
    code, message = invoke("emulate", run, path, "-o", output)
    assert code == 2
    assert str(path) in message
    assert expected in message
    assert "\n" not in message
    assert not output.exists()
    assert not list(tmp_path.rglob(".partial-*"))


def test_an_existing_output_is_not_overwritten(run: Path, shared_data: Path, tmp_path: Path) -> None:
    output = tmp_path / "o.h5"
    output.write_text("mine")
    code, message = invoke("emulate", run, shared_data / REAL["raw-1"], "-o", output)
    assert (code, output.read_text()) == (2, "mine")
    assert "--overwrite" in message


def test_a_file_given_twice_is_refused(run: Path, tmp_path: Path) -> None:
    events = run / "events" / "gamma.dl1.h5"
    code, message = invoke("emulate", run, events, events, "-o", tmp_path / "o.h5")
    assert code == 2
    assert "both hold event" in message


def test_events_of_another_camera_are_refused(run: Path, shared_data: Path, tmp_path: Path) -> None:
    """The network says which camera it was made for: change what it says."""
    path = tmp_path / "other.onnx"
    model = onnx.load(run / "onnx" / "emulator.onnx")
    for entry in model.metadata_props:
        entry.value = entry.value.replace("DigiCam", "LSTCam")
    onnx.save(model, path)
    code, message = invoke("emulate", path, shared_data / REAL["simtel-digicam"], "-o", tmp_path / "o.h5")
    assert code == 2
    assert "LSTCam" in message


def trained_between(run: Path, target: Path, name: str, low: float, high: float) -> Path:
    """The run's emulator with another range in its domain."""
    model = onnx.load(run / "onnx" / "emulator.onnx")
    for entry in model.metadata_props:
        if entry.key == "trigger_ml":
            content = json.loads(entry.value)
            content["metadata"]["domain"]["ranges"][name] = [low, high]
            entry.value = json.dumps(content)
    onnx.save(model, target)
    return target


def test_events_unlike_those_of_the_training_are_refused(
    run: Path, shared_data: Path, tmp_path: Path
) -> None:
    dark = trained_between(run, tmp_path / "dark.onnx", "pedestal", 1.4, 1.6)
    output = tmp_path / "o.h5"
    code, message = invoke("emulate", dark, shared_data / REAL["raw-32"], "-o", output)
    assert code == 2
    assert "median charge of a pixel without light: 3.3" in message
    assert "trained from 1.4 to 1.6" in message
    assert "--outside-domain" in message
    assert not output.exists()
    code, message = invoke("emulate", dark, shared_data / REAL["raw-32"], "-o", output, "--outside-domain")
    assert code == 0, message
    words = " ".join(message.split())
    assert "warning: 32 of 32 events outside the training's conditions" in words
    rows = read_table(output, "/dl2/event/telescope/particle_type/trigger_ml/tel_022")
    assert (rows["trigger_ml_tel_domain"] == 2).all()


def test_a_network_that_does_not_know_its_training_says_so(
    run: Path, shared_data: Path, tmp_path: Path
) -> None:
    model = onnx.load(run / "onnx" / "emulator.onnx")
    for entry in model.metadata_props:
        if entry.key == "trigger_ml":
            content = json.loads(entry.value)
            del content["metadata"]["domain"]
            entry.value = json.dumps(content)
    onnx.save(model, tmp_path / "old.onnx")
    summary = emulate_files(tmp_path / "old.onnx", [shared_data / REAL["raw-1"]], tmp_path / "o.h5")
    assert "does not tell the conditions of its training" in summary.warnings[0]


def test_emulating_with_something_that_is_no_network(run: Path, tmp_path: Path) -> None:
    events = run / "events" / "gamma.dl1.h5"
    for network, expected in (
        (tmp_path / "none.onnx", "no such file"),
        (tmp_path, "no onnx/emulator.onnx"),
        (run / "onnx" / "float.onnx", "not one of trigger_ml's emulators"),
        (events, "not a readable ONNX file"),
    ):
        code, message = invoke("emulate", network, events, "-o", tmp_path / "o.h5")
        assert code == 2
        assert expected in message


def test_no_compiler(run: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = copy_of(run, tmp_path / "run")
    shutil.rmtree(broken / "firmware" / "hls" / "csim")
    manifest = json.loads((broken / "manifest.json").read_text())
    del manifest["stages"]["verify"]
    (broken / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("PATH", str(tmp_path))
    code, message = invoke("verify", config, "--run", broken)
    assert code == 2
    assert "g++" in message
    assert "Install" in message

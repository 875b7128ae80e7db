import csv
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import angular_separation
from ctapipe.io import TableLoader
from scipy.stats import kstest

from trigger_ml.core.config import ParticleConfig, SimulationConfig
from trigger_ml.events.dl1 import read_dl1
from trigger_ml.simulation import chunks, production, telescope
from trigger_ml.simulation.chunks import power_law
from trigger_ml.simulation.production import simulate

GAMMA = ParticleConfig(events=25, energy_min=2.0, energy_max=50.0, max_core_distance=250.0)
PROTON = ParticleConfig(events=15, energy_min=5.0, energy_max=100.0, view_cone=3.0, max_core_distance=250.0)

SMALL = {"gamma": 1, "electron": 2, "proton": 2, "helium": 2, "oxygen": 2}


def config(workers=1, **changes):
    values = {"particles": {"gamma": GAMMA, "proton": PROTON}, "library_scale": 0.02, "nsb_rate": 0.1}
    return SimulationConfig(workers=workers, **values | changes)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "SHOWERS_PER_CHUNK", SMALL)
    monkeypatch.setattr(telescope, "SKY_SAMPLES", 1 << 15)


@pytest.fixture(scope="module")
def files(tmp_path_factory, library):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "SHOWERS_PER_CHUNK", SMALL)
        patch.setattr(telescope, "SKY_SAMPLES", 1 << 15)
        return simulate(config(waveforms=True), tmp_path_factory.mktemp("production"), seed=3, progress=False)


def tables(path):
    return list(read_dl1(path))


def test_power_law(rng):
    for index in (-2.0, -1.0, -2.7):
        particle = ParticleConfig(events=1, energy_min=0.5, energy_max=50, spectral_index=index)
        energy = power_law(rng, 4000, particle)

        def cumulative(e, index=index):
            if index == -1:
                return np.log(e / 0.5) / np.log(100)
            p = index + 1
            return (e**p - 0.5**p) / (50**p - 0.5**p)

        assert kstest(energy, cumulative).pvalue > 1e-3


def test_exactly_the_events_asked_for(files):
    assert [path.name for path in files] == ["gamma.dl1.h5", "proton.dl1.h5"]
    for path, wanted in zip(files, (25, 15), strict=True):
        assert sum(len(table) for table in tables(path)) == wanted
        # nothing else is left behind but the receipts
    assert not list(files[0].parent.glob(".chunks*"))


def test_truth_agrees_with_the_configuration(files):
    for path, particle, primary in zip(files, (GAMMA, PROTON), (0, 101), strict=True):
        truth = tables(path)[0].truth
        assert np.all(truth.primary_id == primary)
        assert truth.energy.min() >= particle.energy_min
        assert truth.energy.max() <= particle.energy_max
        assert np.hypot(truth.core_x, truth.core_y).max() <= particle.max_core_distance
        assert np.all((truth.h_first_int > 5e3) & (truth.h_first_int < 80e3))
        offset = np.degrees(
            np.arccos(
                np.sin(truth.alt) * math.sin(math.radians(70))
                + np.cos(truth.alt) * math.cos(math.radians(70)) * np.cos(truth.az)
            )
        )
        if particle.view_cone:
            assert offset.max() <= particle.view_cone + 1e-6
        else:
            np.testing.assert_allclose(offset, 0.5, atol=1e-6)


@pytest.mark.parametrize("kind", [0, 1])
def test_bookkeeping_counts_what_was_thrown(files, kind):
    particle = (GAMMA, PROTON)[kind]
    with TableLoader(files[kind]) as loader:
        run = loader.read_simulation_configuration()
        thrown = loader.read_shower_distribution()
        events = loader.read_telescope_events(true_images=True, dl1_parameters=True)
    assert int(run["shower_reuse"][0]) == particle.uses
    last = int(events["event_id"].max()) // 100
    assert int(run["n_showers"][0]) == last
    assert int(thrown["n_entries"][0]) == last * particle.uses
    assert np.asarray(thrown["histogram"][0]).sum() == last * particle.uses
    assert float(run["spectral_index"][0]) == particle.spectral_index
    # event ids name the shower and the use
    assert np.all(events["event_id"] % 100 < particle.uses)
    assert np.all(events["true_image"].sum(axis=1) > 10)
    assert "hillas_intensity" in events.colnames


def test_waveforms_are_written_on_demand(files):
    table = next(read_dl1(files[0], waveform=True))
    assert table.waveform.shape == (25, 1296, 50)
    event, pixel = np.unravel_index(table.image.argmax(), table.image.shape)
    # the window of seven samples holds 94 % of a pulse
    assert table.waveform[event, pixel].sum() == pytest.approx(table.image[event, pixel], rel=0.25)


def same(one, two):
    for first, second in zip(tables(one), tables(two), strict=True):
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.event_id, second.event_id)
        np.testing.assert_array_equal(first.truth.energy, second.truth.energy)


def test_interrupted_production_resumes(tmp_path, files, monkeypatch):
    write, written = production.write_chunk, []

    def fails_late(path, chunk):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        write(path, chunk)

    monkeypatch.setattr(production, "write_chunk", fails_late)
    with pytest.raises(KeyboardInterrupt):
        simulate(config(waveforms=True), tmp_path, seed=3, progress=False)
    assert len(list(tmp_path.glob(".chunks*/*.npz"))) == 2
    monkeypatch.setattr(
        production, "write_chunk", lambda path, chunk: (written.append(path), write(path, chunk))
    )
    made = simulate(config(waveforms=True), tmp_path, seed=3, progress=False)
    assert len(set(written)) == len(written)
    same(made[0], files[0])
    same(made[1], files[1])
    # a complete production is not made again
    before = made[0].stat().st_mtime_ns
    simulate(config(waveforms=True), tmp_path, seed=3, progress=False)
    assert made[0].stat().st_mtime_ns == before


def test_seeds_differ(tmp_path, files):
    only = config(particles={"gamma": GAMMA})
    other = simulate(only, tmp_path, seed=4, progress=False)[0]
    assert not np.array_equal(tables(other)[0].truth.energy, tables(files[0])[0].truth.energy)


def test_stereo_electrons_and_nuclei(tmp_path):
    two = config(
        telescopes=((0.0, -70.0, 0.0), (0.0, 70.0, 5.0)),
        min_telescopes=2,
        particles={
            "electron": GAMMA.model_copy(update={"events": 6, "view_cone": 2.0}),
            "helium": PROTON.model_copy(update={"events": 4, "energy_min": 20.0, "energy_max": 200.0}),
            "oxygen": PROTON.model_copy(update={"events": 2, "energy_min": 80.0, "energy_max": 200.0}),
        },
    )
    for path, primary in zip(simulate(two, tmp_path, seed=1, progress=False), (1, 402, 1608), strict=True):
        # telescope by telescope: both saw every event
        found = tables(path)
        ids = {tel: np.concatenate([t.event_id[t.tel_id == tel] for t in found]) for tel in (1, 2)}
        np.testing.assert_array_equal(np.sort(ids[1]), np.sort(ids[2]))
        assert np.all(found[0].truth.primary_id == primary)


@pytest.mark.slow
def test_number_of_workers_does_not_matter(tmp_path, monkeypatch):
    monkeypatch.undo()
    small = {"gamma": GAMMA.model_copy(update={"events": 260})}
    one = simulate(config(1, particles=small), tmp_path / "one", seed=5, progress=False)[0]
    two = simulate(config(2, particles=small), tmp_path / "two", seed=5, progress=False)[0]
    same(one, two)
    # also of chunks that a worker was still making when there were enough events
    assert not list(two.parent.glob(".chunks*"))


def run(tool, *arguments, cwd):
    """Run a tool of ctapipe's or CTLearn's as its users do."""
    command = [Path(sys.executable).parent / tool, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.mark.slow
def test_ctapipe_process_goes_from_waveforms_to_images(tmp_path, files):
    output = tmp_path / "dl1.h5"
    run("ctapipe-process", f"--input={files[0]}", f"--output={output}", "--write-images",
        "--write-parameters", cwd=tmp_path)  # fmt: skip
    with TableLoader(output) as loader:
        theirs = loader.read_telescope_events(dl1_parameters=True, dl1_images=True)
    assert len(theirs) == 25
    ours = tables(files[0])[0]
    order = np.argsort(theirs["event_id"])
    np.testing.assert_array_equal(theirs["event_id"][order], np.sort(ours.event_id))
    lit = ours.image[np.argsort(ours.event_id)] > 20
    ratio = theirs["image"][order][lit] / ours.image[np.argsort(ours.event_id)][lit]
    # another extractor, with its own integration window
    assert np.median(ratio) == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_ctapipe_process_reconstructs_showers_seen_by_two_telescopes(tmp_path):
    pair = config(
        telescopes=((0.0, -70.0, 0.0), (0.0, 70.0, 5.0)), min_telescopes=2, particles={"gamma": GAMMA}
    )
    (path,) = simulate(pair, tmp_path, seed=1, progress=False)
    output = tmp_path / "dl2.h5"
    run("ctapipe-process", f"--input={path}", f"--output={output}", "--write-showers", cwd=tmp_path)
    with TableLoader(output) as loader:
        showers = loader.read_subarray_events(dl2=True, simulated=True)
    valid = showers["HillasReconstructor_is_valid"]
    assert valid.mean() > 0.7
    separation = angular_separation(
        *(np.radians(np.asarray(showers[name][valid], dtype=float)) for name in
          ("true_az", "true_alt", "HillasReconstructor_az", "HillasReconstructor_alt"))
    )  # fmt: skip
    # the images point to the source: two small telescopes reach some tenths of a degree
    assert np.median(np.degrees(separation)) < 0.5


@pytest.mark.slow
def test_ctlearn_trains_on_the_files(tmp_path, files):
    run(
        "ctlearn-train-model", f"--signal={files[0].parent}", "--pattern-signal=gamma.dl1.h5",
        f"--background={files[1].parent}", "--pattern-background=proton.dl1.h5", "--reco=type",
        f"--output={tmp_path / 'model'}", "--TrainCTLearnModel.n_epochs=1",
        "--TrainCTLearnModel.batch_size=4", "--TrainCTLearnModel.validation_split=0.4",
        "--TrainCTLearnModel.model_type=SingleCNN", "--DLImageReader.allowed_tels=[1]",
        cwd=tmp_path,
    )  # fmt: skip
    assert (tmp_path / "model" / "ctlearn_model.keras").exists()
    with (tmp_path / "model" / "training_log.csv").open() as log:
        (epoch,) = csv.DictReader(log)
    assert 0 < float(epoch["val_loss"]) < 10

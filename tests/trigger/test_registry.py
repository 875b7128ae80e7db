import numpy as np
import pytest
import yaml
from plugin_page import block, place, place_from_page

from trigger_ml.core.config import ExperimentConfig, ParticleConfig, SimulationConfig
from trigger_ml.core.errors import ConfigError
from trigger_ml.core.run import RunDirectory
from trigger_ml.events.dl1 import read_dl1
from trigger_ml.pipeline.stages import simulate as stage
from trigger_ml.simulation import chunks, electronics, production, telescope
from trigger_ml.simulation.chunks import Worker
from trigger_ml.simulation.production import simulate
from trigger_ml.trigger.registry import TRIGGERS, trigger

GROUP = "trigger_ml.triggers"
GAMMA = ParticleConfig(events=20, energy_min=2.0, energy_max=50.0, max_core_distance=250.0)


@pytest.fixture
def brightest(monkeypatch, tmp_path):
    """The page's algorithm, from its installed package."""
    place_from_page(monkeypatch, tmp_path / "site", "brightest_pixel")
    return trigger("brightest-pixel")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(chunks, "SHOWERS_PER_CHUNK", {"gamma": 1})
    monkeypatch.setattr(telescope, "SKY_SAMPLES", 1 << 15)


def config(**changes):
    values = {"particles": {"gamma": GAMMA}, "library_scale": 0.02, "nsb_rate": 0.1, "workers": 1}
    return SimulationConfig.model_validate(values | changes)


def settings():
    """What the page says to write into a configuration."""
    return yaml.safe_load(block("After `pip install .` in its folder it is used", "yaml"))["simulation"]


def brightest_samples(chosen, folder):
    """Largest sample in ADC counts of every event of a production, in the samples that count."""
    (path,) = simulate(chosen, folder, seed=3, progress=False)
    (table,) = read_dl1(path, waveform=True)
    # the calibration follows from the seed
    believed = Worker(chosen, 3, None).telescopes[1].electronics.calibration
    first, last = electronics.SEARCH
    counts = table.waveform[:, :, first:last] / believed[:, np.newaxis].astype(np.float32)
    return counts.max(axis=(1, 2))


def test_the_simulation_triggers_with_an_algorithm_from_outside(brightest, small, tmp_path):
    assert TRIGGERS.names()[0] == "digital-sum"
    assert TRIGGERS.names()[-1] == "brightest-pixel"
    chosen = config(waveforms=True, **settings())
    assert (chosen.trigger, chosen.trigger_threshold) == ("brightest-pixel", 400)
    found = brightest_samples(chosen, tmp_path / "brightest")
    assert len(found) == 20
    assert found.min() > 399.9
    # the camera's own trigger takes events without such a pixel
    own = brightest_samples(config(waveforms=True, trigger_threshold=200.0), tmp_path / "own")
    assert 0 < (own < 399).sum() < 20


def test_every_event_is_judged_once_by_the_algorithm(monkeypatch, tmp_path, small):
    source = """
from trigger_ml.trigger.algorithm import Algorithm, Decision
SEEN = []
def decide(waveform, patches, threshold, first, last):
    SEEN.append((waveform.shape, waveform.dtype.name, len(patches), threshold, first, last))
    return Decision(len(SEEN) % 2 == 0, 9, 1.0)
def algorithm():
    return Algorithm("every-second", decide)
"""
    place(monkeypatch, tmp_path, "every_second", source, GROUP, {"every-second": "every_second:algorithm"})
    worker = Worker(config(trigger="every-second", trigger_threshold=0.5), 3, None)
    found = worker.chunk("gamma", 0)
    import every_second

    assert len(found.shower) == len(every_second.SEEN) // 2 > 0
    assert set(every_second.SEEN) == {((1296, 50), "float32", 432, 0.5, *electronics.SEARCH)}


@pytest.mark.slow
def test_workers_find_the_package_too(brightest, small, tmp_path):
    one, two = (
        simulate(config(workers=n, **settings()), tmp_path / str(n), seed=3, progress=False)[0]
        for n in (1, 2)
    )
    first, second = (next(read_dl1(path)) for path in (one, two))
    # chunks have another size in a process that does not know of the test
    assert len(first) == len(second) == 20


def test_an_algorithm_without_a_tail_needs_a_fixed_threshold(brightest, tmp_path):
    chosen = config(accidental_rate=100.0, **settings())
    with pytest.raises(ConfigError, match=r"simulation.accidental_rate: .* brightest-pixel does not tell"):
        simulate(chosen, tmp_path / "events", seed=1, progress=False)
    assert not (tmp_path / "events").exists()


def test_an_unknown_algorithm_is_told_before_anything_is_made(tmp_path):
    with pytest.raises(
        ConfigError, match=r"simulation.trigger: digital_sum: .* nearest is digital-sum. Known: dig"
    ):
        simulate(config(trigger="digital_sum"), tmp_path / "events", seed=1, progress=False)
    assert not (tmp_path / "events").exists()


def test_a_doubled_name_is_an_error_that_names_both(monkeypatch, tmp_path):
    source = "from trigger_ml.trigger.digital_sum import digital_sum"
    entries = {"digital-sum": "mine:digital_sum"}
    place(monkeypatch, tmp_path, "mine", source, GROUP, entries, "my-trigger", "3.0")
    both = (
        r"trigger_ml itself and my-trigger 3.0 \(entry point trigger_ml.triggers: digital-sum = mine:digital"
    )
    with pytest.raises(ConfigError, match=both):
        trigger()


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import no_such_module_at_all", "cannot be loaded .ModuleNotFoundError"),
        ("def algorithm(): return lambda waveform: True", "it gives a function, no Algorithm"),
    ],
)
def test_a_broken_plug_in_is_one_error_that_names_it(monkeypatch, tmp_path, source, why):
    place(monkeypatch, tmp_path, "bad", source, GROUP, {"bad": "bad:algorithm"}, "bad-trigger", "0.3")
    with pytest.raises(ConfigError, match=why) as caught:
        simulate(config(trigger="bad"), tmp_path / "events", seed=1, progress=False)
    assert str(caught.value).startswith(f"plug-in bad-trigger 0.3 (entry point {GROUP}: bad = bad:algorithm)")


def test_another_version_of_the_package_makes_other_events(monkeypatch, tmp_path):
    source = block("`brightest_pixel.py`:", "python")
    keys, inputs = [], []
    chosen = ExperimentConfig(name="x", simulation=config(**settings()))
    for version in ("1.0", "1.0", "1.1"):
        with monkeypatch.context() as patch:
            place(
                patch, tmp_path / str(len(keys)), "brightest_pixel", source, GROUP,
                {"brightest-pixel": "brightest_pixel:algorithm"}, "brightest-pixel", version,
            )  # fmt: skip
            keys.append(production._key("gamma", chosen.simulation, 1, None))
            inputs.append(stage.STAGE.inputs(chosen, RunDirectory(tmp_path)))
    assert keys[0] == keys[1] != keys[2]
    assert inputs[0] == inputs[1] != inputs[2]

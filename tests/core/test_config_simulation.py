import json

import pytest

from trigger_ml.core.config import ExperimentConfig, SimulationConfig
from trigger_ml.core.run import fingerprint

# the section as run directories hold it that were made before the camera and the trigger had names
BEFORE = json.loads("""
{"particles": {
  "gamma": {"events": 15000, "energy_min": 0.3, "energy_max": 100.0, "spectral_index": -2.0,
            "view_cone": 6.0, "max_core_distance": 500.0, "uses": 10},
  "proton": {"events": 15000, "energy_min": 0.5, "energy_max": 300.0, "spectral_index": -2.0,
             "view_cone": 8.0, "max_core_distance": 500.0, "uses": 10}},
 "zenith": 20.0, "azimuth": 0.0, "source_offset": 0.5, "telescopes": [[0.0, 0.0, 0.0]], "altitude": 2150.0,
 "atmosphere": "subtropical", "magnetic_field": [20.9, 1.25, 9.1], "nsb_rate": 0.0407,
 "trigger_threshold": 270.0, "accidental_rate": null,
 "nuisances": {"night_sky": null, "gain": [1.0, 1.0], "gain_spread": [0.0, 0.0], "throughput": [1.0, 1.0],
               "point_spread": [0.0, 0.0], "dead_pixels": [0.0, 0.0], "noisy_pixels": [0.0, 0.0],
               "noise_factor": [3.0, 10.0], "pedestal_offset": [0.2, 0.2]},
 "night_sky_events": 0, "min_telescopes": 1, "thinning": 0.001, "library_scale": 1.0, "waveforms": false,
 "workers": null}
""")


def test_an_old_section_is_written_as_before():
    """A stage is done again where its section is written otherwise: new keys must not show by default."""
    read = SimulationConfig.model_validate(BEFORE)
    assert read.trigger == "digital-sum"
    assert read.camera == "DigiCam"
    assert read.model_dump(mode="json") == SimulationConfig().model_dump(mode="json") == BEFORE
    # also inside an experiment, and with the default written out
    whole = ExperimentConfig(name="x", simulation=SimulationConfig(trigger="digital-sum", camera="DigiCam"))
    assert whole.model_dump(mode="json")["simulation"] == BEFORE
    assert fingerprint(whole.model_dump(mode="json")["simulation"]) == fingerprint(BEFORE)


@pytest.mark.parametrize("name", ["camera", "trigger"])
def test_a_name_that_is_not_the_default_is_written_and_read_again(name):
    config = SimulationConfig.model_validate({name: "another"})
    written = config.model_dump(mode="json")
    assert written == BEFORE | {name: "another"}
    assert SimulationConfig.model_validate(written) == config
    assert "particles" not in config.model_dump(mode="json", exclude={"particles"})
    assert name not in config.model_dump(mode="json", exclude={name})

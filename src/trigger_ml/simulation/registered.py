"""The camera and the trigger algorithm that a configuration names."""

from trigger_ml.core.config import SimulationConfig
from trigger_ml.core.errors import ConfigError
from trigger_ml.instrument import digicam
from trigger_ml.instrument.description import Camera
from trigger_ml.instrument.registry import camera
from trigger_ml.trigger import digital_sum
from trigger_ml.trigger.algorithm import Algorithm
from trigger_ml.trigger.registry import TRIGGERS, trigger

__all__ = ["plug_ins", "simulated_camera", "simulated_trigger"]

CAMERA_KEY, TRIGGER_KEY = "simulation.camera", "simulation.trigger"


def simulated_camera(config: SimulationConfig) -> Camera:
    """The camera of the simulated telescopes.

    Raises
    ------
    ConfigError
        If the camera is unknown, or is none that the simulation has the optics and the electronics of.
    """
    found = camera(config.camera, CAMERA_KEY)
    if found.name != digicam.NAME:
        raise ConfigError(
            f"{CAMERA_KEY}: {found.name}",
            f"the simulation has only the SST-1M's mirror and electronics, whose camera is {digicam.NAME}",
            f"Give events of {found.name} in events.files, or simulate {digicam.NAME}",
        )
    return found


def simulated_trigger(config: SimulationConfig) -> Algorithm:
    """The trigger algorithm of the simulated telescopes.

    Raises
    ------
    ConfigError
        If the algorithm is unknown, or cannot find the threshold that the configuration asks for.
    """
    found = trigger(config.trigger, TRIGGER_KEY)
    if config.accidental_rate is not None and found.noise is None:
        raise ConfigError(
            "simulation.accidental_rate",
            f"the trigger algorithm {found.name} does not tell how often the night sky makes large values",
            f"Set it to null and give simulation.trigger_threshold, or take {digital_sum.NAME}, which tells",
        )
    return found


def plug_ins(config: SimulationConfig) -> dict[str, str]:
    """Packages with their versions on which the events depend, by key; none for the project's own."""
    origin = TRIGGERS.origin(config.trigger, TRIGGER_KEY)
    return {} if origin is None else {"trigger": origin}

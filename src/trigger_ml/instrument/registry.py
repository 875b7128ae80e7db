"""Cameras by name: the project's own, and those of installed packages."""

from trigger_ml.core.plugins import Registry
from trigger_ml.instrument import digicam
from trigger_ml.instrument.description import Camera

__all__ = ["CAMERAS", "camera"]

CAMERAS = Registry(
    kind="camera", group="trigger_ml.cameras", product=Camera, built_in={digicam.NAME: digicam.digicam}
)


def camera(name: str = digicam.NAME, key: str = "camera") -> Camera:
    """A camera by the name that ctapipe gives it.

    Parameters
    ----------
    name : str
    key : str
        Of the configuration, for errors.

    Raises
    ------
    ConfigError
        If no camera, or more than one, has this name, or the package that gives it is broken.
    """
    return CAMERAS.get(name, key)

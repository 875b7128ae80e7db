"""Configuration of the event generator."""

from typing import Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from trigger_ml.core.config.base import Section
from trigger_ml.core.config.nuisances import NuisancesConfig


class ParticleConfig(Section):
    """How the showers of one primary particle are drawn."""

    events: int = Field(gt=0)
    """Telescope images to leave in the file (after the trigger condition)."""
    energy_min: float = Field(0.3, gt=0)
    """TeV."""
    energy_max: float = Field(100.0, gt=0)
    """TeV."""
    spectral_index: float = -2.0
    """Index of the generated power law."""
    view_cone: float = Field(0.0, ge=0)
    """Half opening angle in degrees of the cone around the pointing; 0 is a point source."""
    max_core_distance: float = Field(500.0, gt=0)
    """Metres."""
    uses: int = Field(10, gt=0, le=100)
    """Core positions for each shower."""


LATER = ("camera", "trigger")
"""Keys that run directories of earlier versions do not have."""


class SimulationConfig(Section):
    """What the ``simulate`` stage produces."""

    particles: dict[Literal["gamma", "proton", "electron", "helium", "oxygen", "iron"], ParticleConfig] = (
        Field(
            default={
                "gamma": ParticleConfig(events=15_000, view_cone=6.0),
                "proton": ParticleConfig(events=15_000, energy_min=0.5, energy_max=300.0, view_cone=8.0),
            }
        )
    )
    """The primaries and how they are drawn."""
    zenith: float = Field(20.0, ge=0, le=70)
    """Zenith angle of the pointing in degrees."""
    azimuth: float = 0.0
    """Azimuth of the pointing in degrees."""
    source_offset: float = Field(0.5, ge=0)
    """Angle in degrees between the pointing and a point source (wobble)."""
    telescopes: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 0.0),)
    """Telescope positions on the ground in metres: x (north), y (west), z."""
    altitude: float = Field(2150.0, ge=0, le=5000)
    """Height of the site in metres above sea level."""
    atmosphere: Literal["us-standard", "subtropical"] = "subtropical"
    """Density profile; ``subtropical`` is close to Paranal's."""
    magnetic_field: tuple[float, float, float] = (20.9, 1.25, 9.1)
    """Geomagnetic field in microtesla: north, west, up (Paranal)."""
    nsb_rate: float = Field(0.0407, ge=0)
    """Night-sky photo-electrons per pixel and nanosecond: 0.04 at a dark site (prod4), 0.2 at a bright."""
    camera: str = "DigiCam"
    """Camera of the telescopes, by the name that ctapipe gives it; only DigiCam can be simulated."""
    trigger: str = "digital-sum"
    """Trigger algorithm, the camera's own or one that a package adds (docs/plugins.md)."""
    trigger_threshold: float = Field(270.0, ge=0)
    """Least value of the trigger algorithm. Of the digital sum: sum of a cluster of seven patches (each
    clipped to 0-255) in ADC counts; one photo-electron peaks at about 5 counts."""
    accidental_rate: float | None = Field(None, gt=0)
    """Hz at which the night sky alone triggers a telescope: the threshold follows night sky and gain so that
    this rate stays. Null fixes the threshold at ``trigger_threshold``."""
    nuisances: NuisancesConfig = NuisancesConfig()
    """Ranges of conditions that differ between blocks of showers; default is the nominal telescope."""
    night_sky_events: int = Field(0, ge=0)
    """Clocked events without a shower to leave in ``night_sky.dl1.h5``, under the same conditions."""
    min_telescopes: int = Field(1, gt=0)
    """Telescopes that must trigger for an array event to be kept."""
    thinning: float = Field(1e-3, ge=0, lt=1)
    """Fraction of the primary energy below which one particle is followed for many; 0 follows all."""
    library_scale: float = Field(1.0, gt=0)
    """Size of the library of hadronic interactions; 1 has 1,200 of protons at each of 19 energies."""
    waveforms: bool = False
    """Also write the calibrated waveforms (R1; 260 kB an image before compression)."""
    workers: int | None = Field(None, gt=0)
    """Processes; default is one per core. Any number gives the same file."""

    @model_serializer(mode="wrap")
    def _without_late_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        # stages are done again where their section is written otherwise than before: keys that came later
        # are written only where they say something
        values: dict[str, object] = serialize(self)
        for name in LATER:
            if name in values and values[name] == type(self).model_fields[name].default:
                del values[name]
        return values

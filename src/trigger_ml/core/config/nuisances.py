"""Configuration of what differs between a telescope's nights and its nominal description."""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from trigger_ml.core.config.base import Section


def _pair(value: object) -> object:
    """A single number is a range without width."""
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"the range [{value[0]:g}, {value[1]:g}] ends before it begins")
    return value


Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Part = Annotated[float, Field(ge=0, le=0.5)]
PositiveRange = Annotated[tuple[Positive, Positive], BeforeValidator(_pair), AfterValidator(_ordered)]
Range = Annotated[tuple[NotNegative, NotNegative], BeforeValidator(_pair), AfterValidator(_ordered)]
PartRange = Annotated[tuple[Part, Part], BeforeValidator(_pair), AfterValidator(_ordered)]


class NuisancesConfig(Section):
    """Ranges [low, high] from which each block of showers draws its conditions; one number is fixed.

    Blocks draw evenly in all dimensions together (a Sobol sequence scrambled by the seed), the same block
    number the same conditions for every particle.
    """

    night_sky: PositiveRange | None = None
    """Photo-electrons per pixel and nanosecond, drawn evenly in the logarithm; null is ``nsb_rate``."""
    gain: PositiveRange = (1.0, 1.0)
    """Common factor of all pixels' gains that calibration does not know."""
    gain_spread: Range = (0.0, 0.0)
    """Relative spread of the pixels' gains that calibration does not correct, beside the nominal one."""
    throughput: PositiveRange = (1.0, 1.0)
    """Factor of the optical throughput for Cherenkov light; the night sky has its own range."""
    point_spread: Range = (0.0, 0.0)
    """Additional blur in degrees (standard deviation along each axis)."""
    dead_pixels: PartRange = (0.0, 0.0)
    """Part of the pixels that give no signal and no noise."""
    noisy_pixels: PartRange = (0.0, 0.0)
    """Part of the pixels with more electronic noise."""
    noise_factor: PositiveRange = (3.0, 10.0)
    """Electronic noise of a noisy pixel relative to the nominal, drawn for each of them."""
    pedestal_offset: Range = (0.2, 0.2)
    """ADC counts, standard deviation of the pixels' errors of the measured baseline."""

    @model_validator(mode="after")
    def _throughput_fits(self) -> Self:
        # pixels' efficiencies are drawn against a light table that is 1.2 times too bright
        if self.throughput[1] > 1.08:
            raise ValueError("throughput above 1.08 is more light than the generator draws photons for")
        return self

    @property
    def nominal(self) -> bool:
        """Whether nothing is configured: every block is the nominal telescope."""
        return self == NuisancesConfig()

"""Configuration of what is made of a model alone, without events."""

from typing import Annotated

from pydantic import AfterValidator, Field

from trigger_ml.core.config.base import Section
from trigger_ml.core.config.firmware import FirmwareConfig, RtlConfig, VerifyConfig
from trigger_ml.core.config.quantization import BitsConfig, QuantizationConfig
from trigger_ml.core.fixed_point import FixedPoint


def _is_type(text: str | None) -> str | None:
    if text is not None and not 1 <= FixedPoint.parse(text).width <= 32:
        raise ValueError(f"{text} is not 1 to 32 bits wide")
    return text


class BothProjects(FirmwareConfig):
    """The firmware projects: both, where nothing is said."""

    rtl: RtlConfig | None = RtlConfig()
    """The RTL project; null for none."""


class IntakeConfig(Section):
    """A model of yours, as firmware."""

    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the projects; null: that of the model's file."""
    seed: int = Field(1, ge=0)
    """Of random inputs, and of the gaps and stalls in the simulation."""
    input: Annotated[str | None, AfterValidator(_is_type)] = None
    """Type of what the firmware reads, as HLS compilers write it: ``fixed<16,6>`` (signed, 16 bits, 6 of them
    left of the point), ``ufixed<8,0>`` (8 bits, values in [0, 1)), ``uint<8>`` (integers). The model sees
    its values. null: the type of the quantizer that the model begins with, else one that holds the inputs
    given, else ``ufixed<8,0>`` for maps and ``fixed<16,6>`` for vectors."""
    random_inputs: int = Field(200, ge=32)
    """Random inputs over the whole range of the input's type, where none are given."""
    quantization: QuantizationConfig = QuantizationConfig(
        default=BitsConfig(weights=8, activations=8, bias=16), pooled_bits=12
    )
    """Widths of the integers that a float model becomes, without training; ranges follow from the inputs. A
    quantized model is taken as it is."""
    firmware: BothProjects = BothProjects()
    """The projects; what ``--synthesize`` measures of them is in ``synthesis``."""
    verify: VerifyConfig = VerifyConfig()
    """What is compared, bit for bit."""

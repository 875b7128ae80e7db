"""``firmware.json``: what was brought, what was made of it, and what that is worth."""

from dataclasses import dataclass

from trigger_ml.core.documents.base import Kind

__all__ = [
    "DELIVERY", "ESTIMATE", "PREFLIGHT", "Agreement", "CostEstimate", "Delivery", "LayerCost", "Refusal",
    "Refusals", "StyleCost",
]  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """Firmware beside the model as given, on its owner's own inputs.

    Parameters
    ----------
    events, outputs : int
    same : float
        Fraction of the events of which the largest output is the same one, or the only output has the same
        sign.
    rms : float
        Difference of all outputs.
    largest : float
    """

    events: int
    outputs: int
    same: float
    rms: float
    largest: float


@dataclass(frozen=True)
class Delivery:
    """What the verb ``firmware`` did.

    Parameters
    ----------
    name : str
        Of the projects.
    model, framework : str
        The file that was brought, and what wrote it.
    fingerprint : str
        Of the model, the inputs and the configuration: the same for the same delivery.
    quantized : bool
        Whether the model was fixed-point already.
    input : str
        Type of what the firmware reads.
    inputs : str
        Where the inputs come from, with which the firmware was compared.
    seconds : float
    notes : tuple of str
        What was decided because nobody said it, and what was not made, with the reason.
    agreement : Agreement, optional
        None where a network alone was brought.
    """

    name: str
    model: str
    framework: str
    fingerprint: str
    quantized: bool
    input: str
    inputs: str
    seconds: float
    notes: tuple[str, ...] = ()
    agreement: Agreement | None = None


DELIVERY = Kind(Delivery, "description of a delivery", 1, "firmware", explicit=True)


@dataclass(frozen=True)
class Refusal:
    """One thing that stands in the way of firmware.

    Parameters
    ----------
    layer : str
        Empty for what concerns the whole model.
    kind : str
        Of the layer.
    by : str
        Who refuses: the conversion, or a backend.
    why, remedy : str
    """

    layer: str
    kind: str
    by: str
    why: str
    remedy: str

    def __str__(self) -> str:
        name = f"layer {self.layer} ({self.kind})" if self.layer else "the model"
        remedy = self.remedy if self.remedy.endswith(("?", ".")) else f"{self.remedy}."
        return f"{self.by}: {name}: {self.why}. {remedy}"


@dataclass(frozen=True)
class Refusals:
    """What ``trigger-ml support MODEL`` found.

    Parameters
    ----------
    model, framework, input : str
        File, what wrote it, and the type of what firmware would read.
    refusals : tuple of Refusal
        Empty if firmware can be made.
    not_looked_at : tuple of str
        Layers behind one that could not be passed by.
    """

    model: str
    framework: str
    input: str
    refusals: tuple[Refusal, ...] = ()
    not_looked_at: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerCost:
    """A layer of the model as given, and what it costs.

    Parameters
    ----------
    layer, kind : str
    shape : tuple of int
        Of its result, for one event.
    parameters, macs : int
        Weights, and multiplications for one event.
    streaming_lut, streaming_ff : int, optional
        Predicted; None for what costs nothing of its own, or is not held.
    held : bool
        Whether firmware can hold it.
    """

    layer: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    streaming_lut: int | None = None
    streaming_ff: int | None = None
    held: bool = True


@dataclass(frozen=True)
class StyleCost:
    """The whole design in one style, or why there is none.

    Parameters
    ----------
    style : str
    lut, ff, bram, dsp : int, optional
        Without those of layers that are not held.
    lut_low, lut_high, ff_low, ff_high : int, optional
    interval, latency : int, optional
        Clocks; exact.
    reason : str, optional
        Why the style cannot be built, or that its part is too small.
    """

    style: str
    lut: int | None = None
    ff: int | None = None
    bram: int | None = None
    dsp: int | None = None
    lut_low: int | None = None
    lut_high: int | None = None
    ff_low: int | None = None
    ff_high: int | None = None
    interval: int | None = None
    latency: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class CostEstimate:
    """What ``trigger-ml estimate`` says.

    Parameters
    ----------
    model, framework, input : str
    bits : str
        What the numbers are, or would be.
    part : str
    clock_period_ns : float
    parameters, macs : int
        Of the whole model, whatever is held.
    styles : tuple of StyleCost
    layers : tuple of LayerCost
    refusals : tuple of Refusal
    not_looked_at : tuple of str
    """

    model: str
    framework: str
    input: str
    bits: str
    part: str
    clock_period_ns: float
    parameters: int
    macs: int
    styles: tuple[StyleCost, ...]
    layers: tuple[LayerCost, ...]
    refusals: tuple[Refusal, ...] = ()
    not_looked_at: tuple[str, ...] = ()


PREFLIGHT = Kind(Refusals, "list of refusals", 1, "support", explicit=True)
ESTIMATE = Kind(CostEstimate, "estimate of costs", 1, "estimate", explicit=True)

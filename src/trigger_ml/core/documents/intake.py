"""``firmware.json``: what was brought, what was made of it, and what that is worth."""

from dataclasses import dataclass

from trigger_ml.core.documents.base import Kind

__all__ = ["DELIVERY", "Agreement", "Delivery"]


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

"""What several pages say of a run: its numbers in words, its settings, and what was not measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import yaml

from trigger_ml.core import task
from trigger_ml.core.documents.estimates import Comparison
from trigger_ml.core.documents.model import ModelSummary
from trigger_ml.core.documents.verification import Verification
from trigger_ml.core.json_types import JsonObject
from trigger_ml.evaluation.quantities import HEADLINES
from trigger_ml.report import formatting
from trigger_ml.report.content import RunContent
from trigger_ml.report.reading import dig, size

__all__ = [
    "HEADLINES",
    "PERCENTAGES",
    "TASKS",
    "Exactness",
    "Tile",
    "comparison_tile",
    "configuration",
    "exactness",
    "known",
    "missing",
    "run_facts",
    "size_pair",
    "value_pair",
    "weight_bits",
    "widths",
]

TASKS: dict[str, str] = {name: facts.words for name, facts in task.TASKS.items()}
PERCENTAGES = (
    "hadron_efficiency",
    "gamma_efficiency",
    "energy_resolution",
    "energy_bias",
    "energy_mean_bias",
    "energy_std",
    "energy_gauss_width",
)


@dataclass(frozen=True)
class Tile:
    """One number of the first screen.

    Parameters
    ----------
    label, value, note : str
    state : str
        ``unchanged``, ``better``, ``worse``, ``unresolved``, ``undefined`` or empty.
    """

    label: str
    value: str
    note: str = ""
    state: str = ""


@dataclass(frozen=True)
class Exactness:
    """Whether the firmware equals the network bit for bit.

    Parameters
    ----------
    verdict : str
    equal : bool
    events : str
        Backends with the events compared in each.
    """

    verdict: str
    equal: bool
    events: str


def value_pair(comparison: Comparison, as_percent: bool, digits: int = 4) -> str:
    """Values of the reference and of the compressed model, with an arrow between."""
    values = [comparison.reference.value, comparison.model.value]
    if as_percent:
        return " → ".join(formatting.percent(v) for v in values)
    return " → ".join(formatting.number(v, digits) for v in values)


def comparison_tile(name: str, label: str, unit: str, comparison: Comparison, digits: int = 4) -> Tile:
    """A figure of merit of both models, and the verdict."""
    value = value_pair(comparison, name in PERCENTAGES, digits) + (f" {unit}" if unit else "")
    return Tile(label, value, comparison.verdict, comparison.state)


def size_pair(model: ModelSummary) -> tuple[str, float] | None:
    """Sizes of the float and the compressed model with an arrow between, and their ratio."""
    dense, packed = size(model, "float", "dense"), size(model, "compressed", "packed")
    if dense is None or packed is None:
        return None
    return f"{formatting.bytes_(dense)} → {formatting.bytes_(packed)}", dense / packed


def widths(config: Mapping[str, object], model: ModelSummary, part: str) -> str | None:
    """Bits that a configuration gives a model's ``weights`` or ``activations``: one number, or from and to.

    Where they are learned, those of the widest weight of each layer, measured; of activations only that.
    Layers with widths of their own count; the default only where a layer with weights has none of its own.
    None where nothing is known.
    """
    steps = dig(config, "compression", "steps") or ()
    given = [step for step in steps if str(step.get("step")).endswith("quantize")]
    quantization = given[0] if given else dig(config, "compression", "quantization")
    default, own = dig(quantization, "default", part), dig(quantization, "layers", default={})
    names = [row.layer for row in model.compressed.sparsity_by_layer]
    if dig(config, "compression", "budget") is not None:
        if part != "weights":
            return "learned"
        found = {row.bits for row in model.compressed.sparsity_by_layer}
    elif part == "weights" and names:
        found = {own[name][part] if name in own else default for name in names}
    else:
        found = {default, *(layer[part] for layer in own.values())}
    known_ = sorted(bits for bits in found if bits is not None)
    if not known_:
        return None
    return str(known_[0]) if len(known_) == 1 else f"{known_[0]} to {known_[-1]}"


def weight_bits(content: RunContent) -> tuple[str | None, str | None]:
    """Bits that the configuration gives weights, and the measured percentage of zeros; None where unknown."""
    sparsity = size(content.model, "compressed", "sparsity")
    bits = widths(content.config, content.model, "weights")
    return bits, None if sparsity is None else formatting.percent(sparsity)


def exactness(verification: Verification | None) -> Exactness | None:
    """What the comparison of the backends found; None where there was none."""
    if verification is None or not verification.backends:
        return None
    backends = verification.backends
    wrong = sum(backend.mismatches for backend in backends.values())
    events = ", ".join(f"{name} {backend.events:,}" for name, backend in backends.items())
    return Exactness("equal" if wrong == 0 else f"{wrong:,} mismatches", wrong == 0, events)


def known(rows: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    """The rows of a table of facts that have a value."""
    return [(label, value) for label, value in rows if value not in (None, "")]


def run_facts(manifest: JsonObject, task: str) -> list[tuple[str, object]]:
    """When, for what and how a run was started."""
    started = manifest.get("started")
    when = datetime.fromisoformat(str(started)).strftime("%d %B %Y, %H:%M %Z") if started else None
    return known([("Started", when), ("Task", task), ("Command", manifest.get("command"))])


def configuration(content: RunContent) -> str:
    """The experiment's configuration as YAML."""
    return str(yaml.safe_dump(dict(content.config), sort_keys=False))


def missing(content: RunContent, owner: str = "") -> list[str]:
    """Files that are not in a run, each with the reason, and before it whose they are."""
    return [f"{owner}: {reason}" if owner else reason for reason in content.missing.values()]

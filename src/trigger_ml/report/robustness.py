"""What a report says of night sky, gains, optics and pixels: one line, a few sentences, tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trigger_ml.core.documents.estimates import Estimate
from trigger_ml.core.documents.evaluation import COMPRESSED, FLOAT, Evaluation
from trigger_ml.core.documents.robustness import ChangeDifference, Condition, Largest
from trigger_ml.evaluation.reference import CONTROL, honest
from trigger_ml.report import formatting
from trigger_ml.report.rivals import Table

__all__ = ["MODELS", "condition_range", "robustness_content", "robustness_gaps", "robustness_line"]

MODELS = {
    FLOAT: "float",
    CONTROL: "float control",
    COMPRESSED: "compressed",
    "trees": "boosted trees",
}
# which condition stands for all in one line: what moves most on a telescope, else what an observer has
MAIN = ("true_night_sky", "spread")


def condition_range(condition: Condition) -> str:
    """From the least to the largest value, with the unit."""
    low, high = (formatting.number(float(condition.edges[end]), 2) for end in (0, -1))
    return f"{low} to {high} {condition.unit}"


def _conditions(evaluation: Evaluation) -> Mapping[str, Condition]:
    return {} if evaluation.robustness is None else evaluation.robustness.conditions


def _reference(evaluation: Evaluation, condition: Condition) -> str:
    """The float model that had as much training, where there is one."""
    fair = evaluation.fair_reference
    return fair.model if fair is not None and fair.model in condition.models else FLOAT


def _compared(condition: Condition, reference: str) -> ChangeDifference:
    """How the compressed model's AUC changes against that of a reference."""
    return condition.differences[reference][COMPRESSED].change["auc"]


def _strongest(conditions: Mapping[str, Condition]) -> str:
    """The condition over which the compressed model's AUC changes most."""
    return max(conditions, key=lambda name: abs(conditions[name].models[COMPRESSED].change["auc"].value or 0))


def _percent(value: float | None) -> str:
    return formatting.number(None if value is None else 100 * value, 2)


def _span(row: Estimate) -> str:
    """A part of windows in per cent, with its interval's ends."""
    return f"{_percent(row.value)} % ({_percent(row.low)} to {_percent(row.high)} %)"


def _night_sky(evaluation: Evaluation) -> str | None:
    found = None if evaluation.robustness is None else evaluation.robustness.night_sky
    row = None if found is None else found.models.get(COMPRESSED)
    return None if row is None or row.value is None else _span(row)


def _largest(row: Largest, chance: bool = False) -> str:
    """The largest change of an acceptance, in per cent of itself."""
    if row.value is None:
        return formatting.DASH
    text = f"{_percent(row.value)} %"
    if chance and row.chance is not None:
        return f"{text} ({_percent(row.chance)} % by chance)"
    return text


def robustness_line(evaluation: Evaluation) -> str | None:
    """The answer in one line, for the first screen and the terminal; None where nothing was measured.

    Parameters
    ----------
    evaluation : Evaluation
    """
    conditions = _conditions(evaluation)
    parts = []
    if conditions:
        name = next((name for name in MAIN if name in conditions), _strongest(conditions))
        condition = conditions[name]
        mine = condition.models[COMPRESSED]
        beside = [key for key in (_reference(evaluation, condition), "trees") if key in condition.models]
        changes = ", ".join(
            f"{MODELS[key]} {formatting.interval(condition.models[key].change['auc'], sign=True)}"
            for key in beside
        )
        parts += [
            f"{condition.label} {condition_range(condition)}: AUC of the compressed model changes by "
            f"{formatting.interval(mine.change['auc'], sign=True)} ({changes})",
            f"gammas kept by at most {_largest(mine.largest['gamma'])} of themselves, "
            f"hadrons by at most {_largest(mine.largest['hadron'])}",
        ]
    if (sky := _night_sky(evaluation)) is not None:
        parts.append(f"{'p' if parts else 'P'}ure night sky accepted: {sky}")
    return ", ".join(parts) + "." if parts else None


def _sentences(evaluation: Evaluation) -> list[str]:
    """Which condition costs most, and whether compression made it worse."""
    conditions = _conditions(evaluation)
    seen = {name: row for name, row in conditions.items() if row.models[COMPRESSED].change["auc"].seen}
    if not seen:
        sentences = ["Over no condition is the AUC of the compressed model seen to change."]
    else:
        condition = seen[_strongest(seen)]
        change = formatting.interval(condition.models[COMPRESSED].change["auc"], sign=True)
        reference = _reference(evaluation, condition)
        words = _verb(_verdict(evaluation, reference, _compared(condition, reference)).verdict)
        sentences = [
            f"The AUC of the compressed model depends most on: {condition.label.lower()} "
            f"({condition_range(condition)}), {change} from the first bin to the last. "
            f"Against the {_name(reference)} it {words}."
        ]
    worse = []
    reference = FLOAT
    for condition in conditions.values():
        reference = _reference(evaluation, condition)
        row = _compared(condition, reference)
        if row.state == "worse":
            worse.append(f"{condition.label.lower()} ({row.verdict})")
    if worse:
        sentences.append(f"AUC changes by more than that of the {_name(reference)} with: {', '.join(worse)}.")
    else:
        sentences.append(
            f"Over none is the AUC of the compressed model seen to change by more than that of the "
            f"{_name(reference)}."
        )
    if len(conditions) > 1:
        sentences.append(
            f"There are {len(conditions)} such verdicts; where there is no difference, one in twenty "
            "sees one by chance."
        )
    return sentences


def _name(model: str) -> str:
    return "float model" if model == FLOAT else MODELS[model]


def _verb(verdict: str) -> str:
    """A verdict after "it"."""
    return verdict if verdict.startswith("changes") else f"is judged: {verdict}"


def _verdict(evaluation: Evaluation, reference: str, row: ChangeDifference) -> ChangeDifference:
    """Against the float model no gain is called one that more training may have made."""
    return honest(evaluation, row) if reference == FLOAT else row


@dataclass(frozen=True)
class BinTable(Table):
    """All bins of one condition; ``flag`` says why there are fewer than asked for."""

    label: str
    flag: str


@dataclass(frozen=True)
class Section:
    """Sentences and tables of the page's section."""

    sentences: list[str] = field(default_factory=list)
    summary: Table | None = None
    night_sky: list[list[object]] = field(default_factory=list)
    bins: list[BinTable] = field(default_factory=list)


def robustness_content(evaluation: Evaluation) -> Section | None:
    """What the page's section holds; None where nothing was measured."""
    found = evaluation.robustness
    if found is None or found.reason:
        return None
    conditions = found.conditions
    windows = {} if found.night_sky is None else found.night_sky.models
    return Section(
        sentences=_sentences(evaluation) if conditions else [],
        summary=_summary_rows(evaluation, conditions) if conditions else None,
        night_sky=[
            [MODELS[name].capitalize(), row.accepted, row.events, _span(row)]
            for name, row in windows.items()
            if row.value is not None
        ],
        bins=[_bin_table(evaluation, condition) for condition in conditions.values()],
    )


def _summary_rows(evaluation: Evaluation, conditions: Mapping[str, Condition]) -> Table:
    """One row for each condition: how much the compressed model changes, and its reference."""
    rows = []
    for condition in conditions.values():
        reference = _reference(evaluation, condition)
        mine, theirs = (condition.models[name] for name in (COMPRESSED, reference))
        verdict = _verdict(evaluation, reference, _compared(condition, reference))
        sky = [row.value for row in condition.night_sky.get(COMPRESSED, ()) if row.value is not None]
        rows.append(
            [
                condition.label,
                condition_range(condition),
                formatting.interval(mine.change["auc"], sign=True),
                formatting.interval(theirs.change["auc"], sign=True),
                verdict.verdict,
                *(
                    text
                    for key in ("gamma", "hadron")
                    for text in (
                        _largest(mine.largest[key], chance=True),
                        _largest(theirs.largest[key]),
                    )
                ),
                formatting.percent(max(sky), 2) if sky else formatting.DASH,
            ]
        )
    name = _name(next((_reference(evaluation, row) for row in conditions.values()), FLOAT))
    headings = [
        "Condition",
        "Range",
        "AUC, compressed",
        f"AUC, {name}",
        "Compressed against it",
        "Gammas kept, compressed",
        f"Gammas kept, {name}",
        "Hadrons kept, compressed",
        f"Hadrons kept, {name}",
        "Night sky accepted, worst bin",
    ]
    return Table(headings, rows)


def _bin_table(evaluation: Evaluation, condition: Condition) -> BinTable:
    """All bins of one condition, the compressed model and its reference."""
    reference = _reference(evaluation, condition)
    models = [condition.models[name] for name in (COMPRESSED, reference)]
    difference = condition.differences[reference][COMPRESSED].auc
    edges = condition.edges
    names = ("compressed", _name(reference))
    headings = [
        f"{condition.label} ({condition.unit})",
        "Gammas",
        "Hadrons",
        *(f"AUC, {name}" for name in names),
        "Compressed minus it",
        *(f"Gammas kept (%), {name}" for name in names),
        *(f"Hadrons kept (%), {name}" for name in names),
        "Flag",
    ]
    rows = [
        [
            f"{formatting.number(float(edges[row]), 2)} – {formatting.number(float(edges[row + 1]), 2)}",
            formatting.number(condition.events["gamma"][row]),
            formatting.number(condition.events["hadron"][row]),
            *(formatting.interval(model.auc[row]) for model in models),
            formatting.interval(difference[row], sign=True),
            *(formatting.interval(model.gamma[row], 100) for model in models),
            *(formatting.interval(model.hadron[row], 100) for model in models),
            condition.flags[row],
        ]
        for row in range(len(edges) - 1)
    ]
    return BinTable(headings, rows, condition.label, condition.flag)


def robustness_gaps(evaluation: Evaluation) -> list[str]:
    """What of it was not measured, and why."""
    found = evaluation.robustness
    if found is None:
        return []
    gaps = [f"Robustness: {found.reason}"] if found.reason else []
    if (sky := found.night_sky) is not None:
        if sky.reason:
            gaps.append(f"Night sky accepted: {sky.reason}")
        gaps += [f"Night sky accepted by the {MODELS[name]}: {why}" for name, why in sky.not_judged.items()]
    return gaps + [f"{row.label}: {row.flag}" for row in found.conditions.values() if row.flag]

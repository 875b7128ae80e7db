"""What a report says of night sky, gains, optics and pixels: one line, a few sentences, tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from trigger_ml.evaluation.reference import honest
from trigger_ml.report import formatting
from trigger_ml.report.reading import dig

__all__ = ["MODELS", "condition_range", "robustness_content", "robustness_gaps", "robustness_line"]

MODELS = {
    "float": "float",
    "control": "float control",
    "compressed": "compressed",
    "trees": "boosted trees",
}
# which condition stands for all in one line: what moves most on a telescope, else what an observer has
MAIN = ("true_night_sky", "spread")


def condition_range(condition: Mapping[str, Any]) -> str:
    """From the least to the largest value, with the unit."""
    low, high = (formatting.number(float(condition["edges"][end]), 2) for end in (0, -1))
    return f"{low} to {high} {condition['unit']}"


def _conditions(evaluation: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = dig(evaluation, "robustness", "conditions", default={})
    return found


def _reference(evaluation: Mapping[str, Any], condition: Mapping[str, Any]) -> str:
    """The float model that had as much training, where there is one."""
    name = str(dig(evaluation, "reference", "model", default="float"))
    return name if name in condition["models"] else "float"


def _strongest(conditions: Mapping[str, Any]) -> str:
    """The condition over which the compressed model's AUC changes most."""
    return max(
        conditions,
        key=lambda name: abs(conditions[name]["models"]["compressed"]["change"]["auc"]["value"] or 0),
    )


def _span(row: Mapping[str, Any]) -> str:
    """A part of windows in per cent, with its interval's ends."""
    value, low, high = (formatting.number(100 * row[key], 2) for key in ("value", "low", "high"))
    return f"{value} % ({low} to {high} %)"


def _night_sky(evaluation: Mapping[str, Any]) -> str | None:
    row = dig(evaluation, "robustness", "night_sky", "models", "compressed")
    return None if row is None or row["value"] is None else _span(row)


def _largest(row: Mapping[str, Any], chance: bool = False) -> str:
    """The largest change of an acceptance, in per cent of itself."""
    if row["value"] is None:
        return formatting.DASH
    text = f"{formatting.number(100 * row['value'], 2)} %"
    if chance and row["chance"] is not None:
        return f"{text} ({formatting.number(100 * row['chance'], 2)} % by chance)"
    return text


def robustness_line(evaluation: Mapping[str, Any]) -> str | None:
    """The answer in one line, for the first screen and the terminal; None where nothing was measured.

    Parameters
    ----------
    evaluation : mapping
        As JSON.
    """
    conditions = _conditions(evaluation)
    parts = []
    if conditions:
        name = next((name for name in MAIN if name in conditions), _strongest(conditions))
        condition = conditions[name]
        mine = condition["models"]["compressed"]
        beside = [key for key in (_reference(evaluation, condition), "trees") if key in condition["models"]]
        changes = ", ".join(
            f"{MODELS[key]} {formatting.interval(condition['models'][key]['change']['auc'], sign=True)}"
            for key in beside
        )
        parts += [
            f"{condition['label']} {condition_range(condition)}: AUC of the compressed model changes by "
            f"{formatting.interval(mine['change']['auc'], sign=True)} ({changes})",
            f"gammas kept by at most {_largest(mine['largest']['gamma'])} of themselves, "
            f"hadrons by at most {_largest(mine['largest']['hadron'])}",
        ]
    if (sky := _night_sky(evaluation)) is not None:
        parts.append(f"{'p' if parts else 'P'}ure night sky accepted: {sky}")
    return ", ".join(parts) + "." if parts else None


def _sentences(evaluation: Mapping[str, Any]) -> list[str]:
    """Which condition costs most, and whether compression made it worse."""
    conditions = _conditions(evaluation)
    seen = {
        name: row for name, row in conditions.items() if row["models"]["compressed"]["change"]["auc"]["seen"]
    }
    if not seen:
        sentences = ["Over no condition is the AUC of the compressed model seen to change."]
    else:
        condition = seen[_strongest(seen)]
        change = formatting.interval(condition["models"]["compressed"]["change"]["auc"], sign=True)
        reference = _reference(evaluation, condition)
        row = condition["differences"][reference]["change"]["auc"]
        words = _verb(_verdict(evaluation, reference, row)["verdict"])
        sentences = [
            f"The AUC of the compressed model depends most on: {condition['label'].lower()} "
            f"({condition_range(condition)}), {change} from the first bin to the last. "
            f"Against the {_name(reference)} it {words}."
        ]
    worse = []
    reference = "float"
    for condition in conditions.values():
        reference = _reference(evaluation, condition)
        row = condition["differences"][reference]["change"]["auc"]
        if row["state"] == "worse":
            worse.append(f"{condition['label'].lower()} ({row['verdict']})")
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
    return "float model" if model == "float" else MODELS[model]


def _verb(verdict: str) -> str:
    """A verdict after "it"."""
    return verdict if verdict.startswith("changes") else f"is judged: {verdict}"


def _verdict(evaluation: Mapping[str, Any], reference: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Against the float model no gain is called one that more training may have made."""
    return honest(evaluation, row) if reference == "float" else row


def robustness_content(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Sentences and tables of the page's section; empty where nothing was measured."""
    found = evaluation.get("robustness", {})
    if "conditions" not in found:
        return {}
    conditions = found["conditions"]
    return {
        "sentences": _sentences(evaluation) if conditions else [],
        "summary": _summary_rows(evaluation, conditions),
        "night_sky": [
            [MODELS[name].capitalize(), row["accepted"], row["events"], _span(row)]
            for name, row in dig(found, "night_sky", "models", default={}).items()
            if row["value"] is not None
        ],
        "bins": [_bin_table(evaluation, condition) for condition in conditions.values()],
    }


def _summary_rows(evaluation: Mapping[str, Any], conditions: Mapping[str, Any]) -> dict[str, Any]:
    """One row for each condition: how much the compressed model changes, and its reference."""
    rows = []
    for condition in conditions.values():
        reference = _reference(evaluation, condition)
        mine, theirs = (condition["models"][name] for name in ("compressed", reference))
        verdict = _verdict(evaluation, reference, condition["differences"][reference]["change"]["auc"])
        sky = [
            row["value"] for row in condition["night_sky"].get("compressed", ()) if row["value"] is not None
        ]
        rows.append(
            [
                condition["label"],
                condition_range(condition),
                formatting.interval(mine["change"]["auc"], sign=True),
                formatting.interval(theirs["change"]["auc"], sign=True),
                verdict["verdict"],
                *(
                    text
                    for key in ("gamma", "hadron")
                    for text in (
                        _largest(mine["largest"][key], chance=True),
                        _largest(theirs["largest"][key]),
                    )
                ),
                formatting.percent(max(sky), 2) if sky else formatting.DASH,
            ]
        )
    name = _name(next((_reference(evaluation, row) for row in conditions.values()), "float"))
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
    return {"headings": headings, "rows": rows} if rows else {}


def _bin_table(evaluation: Mapping[str, Any], condition: Mapping[str, Any]) -> dict[str, Any]:
    """All bins of one condition, the compressed model and its reference."""
    reference = _reference(evaluation, condition)
    models = [condition["models"][name] for name in ("compressed", reference)]
    difference = condition["differences"][reference]["auc"]
    edges = condition["edges"]
    names = ("compressed", _name(reference))
    headings = [
        f"{condition['label']} ({condition['unit']})",
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
            condition["events"]["gamma"][row],
            condition["events"]["hadron"][row],
            *(formatting.interval(model["auc"][row]) for model in models),
            formatting.interval(difference[row], sign=True),
            *(formatting.interval(model[key][row], 100) for key in ("gamma", "hadron") for model in models),
            condition["flags"][row],
        ]
        for row in range(len(edges) - 1)
    ]
    return {"label": condition["label"], "flag": condition["flag"], "headings": headings, "rows": rows}


def robustness_gaps(evaluation: Mapping[str, Any]) -> list[str]:
    """What of it was not measured, and why."""
    found = evaluation.get("robustness", {})
    gaps: list[str] = []
    if reason := found.get("reason"):
        gaps.append(f"Robustness: {reason}")
    if reason := dig(found, "night_sky", "reason"):
        gaps.append(f"Night sky accepted: {reason}")
    left_out: Mapping[str, str] = dig(found, "night_sky", "not_judged", default={})
    gaps += [f"Night sky accepted by the {MODELS[name]}: {why}" for name, why in left_out.items()]
    few: Sequence[Mapping[str, Any]] = list(dig(found, "conditions", default={}).values())
    gaps += [f"{row['label']}: {row['flag']}" for row in few if row["flag"]]
    return gaps

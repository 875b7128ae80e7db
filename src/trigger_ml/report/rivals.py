"""What the page says of the models beside the two: the reference, the float control and boosted trees."""

from collections.abc import Mapping, Sequence
from typing import Any

from trigger_ml.evaluation.reference import REFERENCES, against_reference
from trigger_ml.report import formatting
from trigger_ml.report.facts import HEADLINES, PERCENTAGES, Tile

__all__ = ["given_facts", "rival_rows", "rival_tiles", "training_facts", "training_sentences"]

NAMES = {
    "trees": "Boosted trees on Hillas parameters",
    "float": "Float",
    "control": "Float control",
    "compressed": "Compressed",
}
ON, BELOW, UNKNOWN = "on its plateau", "below its plateau", "not known to be on its plateau"
PLATEAU = {True: ON, False: BELOW, None: UNKNOWN}


def training_sentences(evaluation: Mapping[str, Any], metrics: Sequence[str]) -> list[str]:
    """Against which model the verdicts are, how well that was trained, and why a gain is not called one."""
    reference = evaluation.get("reference")
    if reference is None:
        return []
    sentences = []
    if reference["model"] == "control":
        sentences.append("Judged against the float control: the float model after as many more epochs.")
    else:
        sentences.append("Judged against the float model.")
    if reference["plateau"] is not True:
        sentences.append(f"The float model was {PLATEAU[reference['plateau']]}: {reference['why']}.")
    found = [(name, against_reference(evaluation, name)) for name in metrics]
    refused = [evaluation["quantities"][name]["label"] for name, row in found if row and row["refused"]]
    if refused:
        sentences.append(
            f"No gain in {', '.join(refused)} is ascribed to compression: "
            "more training alone may improve such a model."
        )
    return sentences


def rival_tiles(evaluation: Mapping[str, Any]) -> list[Tile]:
    """How training ended, and the floor: one tile each where it is known."""
    tiles = []
    if reference := evaluation.get("reference"):
        state = {True: "unchanged", False: "worse", None: "unresolved"}[reference["plateau"]]
        where = "by its owner" if evaluation.get("given") else "ended"
        tiles.append(Tile("Float training", where, PLATEAU[reference["plateau"]], state))
    trees = evaluation.get("others", {}).get("trees")
    if trees is not None:
        found = trees["differences"]["compressed"]["auc"]
        note = f"compressed: {found['verdict']}"
        tiles.append(Tile("Boosted trees, AUC", formatting.interval(trees["metrics"]["auc"]), note))
    return tiles


def training_facts(evaluation: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Rows for the table of the run."""
    if not (reference := evaluation.get("reference")):
        return []
    return [
        ("Judged against", REFERENCES[reference["model"]]),
        ("Float training", f"{PLATEAU[reference['plateau']]}: {reference['why']}"),
    ]


def given_facts(evaluation: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Rows on a model that the user brought: what it is worth by its own framework, and on counts."""
    if not (given := evaluation.get("given")):
        return []
    what = given["measure"]
    return [
        ("Given model", f"{given['file']}, {given['framework']}, takes {given['input']}"),
        (f"{what} on its own input, by its framework", formatting.interval(given["own"])),
        (f"{what} on counts, by its framework", formatting.interval(given["counts"])),
    ]


def rival_rows(evaluation: Mapping[str, Any], task: str) -> dict[str, Any]:
    """A table of all models: headings and rows; empty where there are only two.

    Each row has a model's figures of merit, and what the compressed one differs from it.
    """
    others = evaluation.get("others", {})
    if not others:
        return {}
    metrics = [name for name in (*HEADLINES[task], "gamma_efficiency") if name in evaluation["metrics"]]
    names = [name for name in metrics if name != "gamma_efficiency"]
    headings = ["Model"]
    for name in names:
        quantity = evaluation["quantities"][name]
        unit = quantity["unit"] or ("%" if name in PERCENTAGES else "")
        headings += [f"{quantity['label']} ({unit})" if unit else quantity["label"], "Compressed minus it"]
    rows = []
    for model in (key for key in NAMES if key in (*others, "float", "compressed")):
        row = [NAMES[model]]
        for name in names:
            scale = 100 if name in PERCENTAGES else 1
            if model in others:
                value = others[model]["metrics"][name]
                difference = others[model]["differences"]["compressed"][name]["difference"]
            else:
                value = evaluation["metrics"][name][model]
                difference = evaluation["metrics"][name]["difference"] if model == "float" else None
            row += [formatting.interval(value, scale), formatting.interval(difference, scale, sign=True)]
        rows.append(row)
    return {"headings": headings, "rows": rows}

"""What the page says of the models beside the two: the reference, the float control and boosted trees."""

from collections.abc import Sequence
from dataclasses import dataclass

from trigger_ml.core.documents.evaluation import COMPRESSED, FLOAT, Evaluation, Given
from trigger_ml.evaluation.reference import CONTROL, REFERENCES, against_reference
from trigger_ml.report import formatting
from trigger_ml.report.facts import HEADLINES, PERCENTAGES, Tile

__all__ = [
    "NAMES",
    "Table",
    "given_facts",
    "rival_rows",
    "rival_tiles",
    "training_facts",
    "training_sentences",
]

NAMES = {
    "trees": "Boosted trees on Hillas parameters",
    FLOAT: "Float",
    CONTROL: "Float control",
    COMPRESSED: "Compressed",
    "litert_float16": "LiteRT, float16 weights",
    "litert_dynamic": "LiteRT, 8-bit weights",
    "litert_int8": "LiteRT, 8-bit weights and activations",
}
ON, BELOW, UNKNOWN = "on its plateau", "below its plateau", "not known to be on its plateau"
PLATEAU = {True: ON, False: BELOW, None: UNKNOWN}


@dataclass(frozen=True)
class Table:
    """Headings, and rows of cells."""

    headings: list[str]
    rows: list[list[str]]


def training_sentences(evaluation: Evaluation, metrics: Sequence[str]) -> list[str]:
    """Against which model the verdicts are, how well that was trained, and why a gain is not called one."""
    reference = evaluation.fair_reference
    if reference is None:
        return []
    sentences = []
    if reference.model == CONTROL:
        sentences.append("Judged against the float control: the float model after as many more epochs.")
    else:
        sentences.append("Judged against the float model.")
    if reference.plateau is not True:
        sentences.append(f"The float model was {PLATEAU[reference.plateau]}: {reference.why}.")
    found = [(name, against_reference(evaluation, name)) for name in metrics]
    refused = [evaluation.quantities[name].label for name, row in found if row and row.refused]
    if refused:
        sentences.append(
            f"No gain in {', '.join(refused)} is ascribed to compression: "
            "more training alone may improve such a model."
        )
    return sentences


def rival_tiles(evaluation: Evaluation) -> list[Tile]:
    """How training ended, and the floor: one tile each where it is known."""
    tiles = []
    if reference := evaluation.fair_reference:
        state = {True: "unchanged", False: "worse", None: "unresolved"}[reference.plateau]
        where = "by its owner" if evaluation.given else "ended"
        tiles.append(Tile("Float training", where, PLATEAU[reference.plateau], state))
    trees = evaluation.comparisons.get("trees")
    if trees is not None:
        found = trees[COMPRESSED].metrics["auc"]
        note = f"compressed: {found.verdict}"
        tiles.append(Tile("Boosted trees, AUC", formatting.interval(found.reference), note))
    return tiles


def training_facts(evaluation: Evaluation) -> list[tuple[str, object]]:
    """Rows for the table of the run."""
    if not (reference := evaluation.fair_reference):
        return []
    return [
        ("Judged against", REFERENCES[reference.model]),
        ("Float training", f"{PLATEAU[reference.plateau]}: {reference.why}"),
    ]


def given_facts(given: Given | None) -> list[tuple[str, object]]:
    """Rows on a model that the user brought: what it is worth by its own framework, and on counts."""
    if given is None:
        return []
    what = given.measure
    return [
        ("Given model", f"{given.file}, {given.framework}, takes {given.input}"),
        (f"{what} on its own input, by its framework", formatting.interval(given.own)),
        (f"{what} on counts, by its framework", formatting.interval(given.counts)),
    ]


def rival_rows(evaluation: Evaluation, task: str) -> Table | None:
    """A table of all models; None where there are only two.

    Each row has a model's figures of merit, and what the compressed one differs from it.
    """
    if not evaluation.others:
        return None
    pair = evaluation.pair()
    names = [name for name in HEADLINES[task] if name in pair.metrics]
    headings = ["Model"]
    for name in names:
        quantity = evaluation.quantities[name]
        unit = quantity.unit or ("%" if name in PERCENTAGES else "")
        headings += [f"{quantity.label} ({unit})" if unit else quantity.label, "Compressed minus it"]
    rows = []
    for model in (key for key in NAMES if key in (*evaluation.others, FLOAT, COMPRESSED)):
        row = [NAMES[model]]
        for name in names:
            scale = 100 if name in PERCENTAGES else 1
            if model == COMPRESSED:
                value, difference = pair.metrics[name].model, None
            else:
                found = evaluation.comparisons[model][COMPRESSED].metrics[name]
                value, difference = found.reference, found.difference
            row += [formatting.interval(value, scale), formatting.interval(difference, scale, sign=True)]
        rows.append(row)
    return Table(headings, rows)

"""The documents of a run: what is written is what is read, whatever the file's age."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from damage import changed, places

from trigger_ml.core.documents.base import Kind, parse, plain, read, write
from trigger_ml.core.documents.estimates import Estimate, Quantity
from trigger_ml.core.documents.evaluation import EVALUATION, GIVEN, Evaluation, Given, Inference
from trigger_ml.core.documents.model import (
    FLOAT_HISTORY,
    MODEL_SUMMARY,
    Ending,
    EventSplit,
    FloatHistory,
    History,
    LayerFacts,
    LayerSparsity,
    ModelBytes,
    ModelFacts,
    ModelSummary,
)
from trigger_ml.core.documents.resources import (
    RESOURCES,
    Clocks,
    Device,
    NotRun,
    Project,
    ResourceFigure,
    Resources,
    TimingFigure,
)
from trigger_ml.core.documents.verification import (
    VERIFICATION,
    AgainstFloat,
    BackendResult,
    Difference,
    LayerBound,
    Verification,
)
from trigger_ml.core.errors import InputError

FIRST = Path(__file__).with_name("data") / "evaluation-1.json"
"""An evaluation of four models as version 0.1 wrote it, its numbers rounded."""

HISTORY = History(8, 5, 2, 12.5, {"loss": (0.5, 0.25)}, Ending("plateau", True, 0.004, 0.01, 3, 0))
MODEL = ModelSummary(
    EventSplit(10, 5, 5, {"no true energy": 1}),
    ModelFacts(
        90, 80, 80, 2, (LayerFacts("stem", "Conv2D", "4 × 4 × 8", 90),), 1000, 1000, 2e-6, history=HISTORY
    ),
    ModelFacts(
        weights=80,
        nonzero_weights=44,
        bytes=ModelBytes(360, 120, 66),
        history=HISTORY,
        pruning_history=replace(HISTORY, ending=None),
        sparsity=0.45,
        sparsity_by_layer=(LayerSparsity("stem", 80, 0.45, 0.5, 30, 6, 6),),
    ),
)
VERIFIED = Verification(
    {
        "onnx": BackendResult(3, 300, 40, Difference("onnx", "head", "event 7", (0, 1), 3, "x", "a", "b")),
        "rtl": BackendResult(0, 40, 4, disturbance={"gap": 0.25, "seed": 1}),
    },
    300,
    40,
    False,
    (LayerBound("head", "affine", 255, 16777216, True),),
    {"head": AgainstFloat("csim", 300, 0.0, 0.1, 0.5, {"50": 0.0}, None, 0.7, 4, 3, 0.8, 0.81)},
)
PROJECT = Project(
    Device("xcku115-flvb2104-2-i", "xcku115", "xcu", 663360, 1326720, 2160, 5520),
    4.0,
    (ResourceFigure("total", "prediction", "trigger-ml", 120, 60, 0, 0, lut_low=100, lut_percent=0.02),),
    (Clocks("simulation", "a tool", 576, 714, 3),),
    (TimingFigure("synthesis: yosys", "yosys", "pre-route arrival", 4.044, -0.044, note="no routing"),),
    (NotRun("synthesis: vivado", "not on PATH", "vivado"),),
    0.1,
)
NUMBER = Estimate(0.9, 0.8, 0.95, events=7)


def first() -> Evaluation:
    return read(FIRST, EVALUATION)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (MODEL_SUMMARY, MODEL),
        (MODEL_SUMMARY, ModelSummary()),
        (FLOAT_HISTORY, FloatHistory(HISTORY, EventSplit(10, 5, 5))),
        (FLOAT_HISTORY, FloatHistory()),
        (VERIFICATION, VERIFIED),
        (VERIFICATION, Verification({})),
        (RESOURCES, Resources(PROJECT, replace(PROJECT, figures=(), clocks=()))),
        (RESOURCES, Resources()),
        (GIVEN, Given("m.h5", "Keras 3", "counts", "AUC", NUMBER, NUMBER, 7, None, {"counts": NUMBER})),
        (EVALUATION, first()),
        (EVALUATION, replace(first(), irf=None, robustness=None, fair_reference=None, inference={})),
    ],
)
def test_what_is_written_is_what_is_read(tmp_path: Path, kind: Kind[object], document: object) -> None:
    path = tmp_path / "document.json"
    write(path, kind, document)
    assert read(path, kind) == document
    content = json.loads(path.read_text())
    assert content["schema"] == kind.schema
    # every field may be read from a file that has it in words, too
    everything = plain(document, everything=True)
    assert isinstance(everything, dict)
    assert set(everything) == {item.name for item in fields(kind.view)}
    assert parse(everything | {"schema": kind.schema}, kind, "x") == document


def test_unknown_parts_are_written_as_null_or_left_out(tmp_path: Path) -> None:
    write(tmp_path / "v.json", VERIFICATION, VERIFIED)
    assert json.loads((tmp_path / "v.json").read_text())["backends"]["rtl"]["difference"] is None
    write(tmp_path / "r.json", RESOURCES, Resources(PROJECT))
    content = json.loads((tmp_path / "r.json").read_text())
    assert "hls" not in content
    assert "carry" not in content["rtl"]["figures"][0]


def test_an_evaluation_of_the_first_layout_is_read_as_one_of_today() -> None:
    old, found = json.loads(FIRST.read_text()), first()
    assert (found.task, found.reference) == ("type", "float")
    assert found.others == ("control", "trees")
    estimate = found.pair().metrics["auc"].model
    assert plain(estimate) == old["metrics"]["auc"]["compressed"]
    assert plain(found.pair().metrics["auc"].ratio) == old["metrics"]["auc"]["ratio"]
    assert [plain(row.reference) for row in found.pair().bins["auc"]] == [
        row["float"] for row in old["bins"]["auc"]
    ]
    for name in ("control", "trees"):
        other = old["others"][name]
        for model in ("float", "compressed"):
            row = found.comparisons[name][model].metrics["auc"]
            assert plain(row.reference) == other["metrics"]["auc"]
            assert plain(row.model) == old["metrics"]["auc"][model]
            assert plain(row.difference) == other["differences"][model]["auc"]["difference"]
            assert row.verdict == other["differences"][model]["auc"]["verdict"]
            # at this reference's background it was not kept
            assert found.comparisons[name][model].metrics["gamma_efficiency"].model.value is None
    assert plain(found.fair_reference) == old["reference"]
    assert found.quantities["auc"] == Quantity("AUC", "higher")
    point, was = found.details.operating_points["f1"], old["details"]["operating_points"]["f1"]
    assert list(point.models["float"].logit) == was["float"]["logit"]
    assert point.models["compressed"].false_positive_rate == was["false_positive_rate"]["compressed"]
    assert plain(point.comparisons["compressed"].flips["all"]) == was["flips"]["all"]
    assert plain(found.details.output_differences["compressed"]) == old["details"]["logit_difference"]
    assert plain(found.details.models["float"].roc) == old["details"]["models"]["float"]["roc"]
    row = found.response().metrics["background_rate"]
    assert plain(row.difference) == old["irf"]["metrics"]["background_rate"]["difference"]
    assert list(found.irf.models["float"].score_cut) == old["irf"]["models"]["float"]["score_cut"]
    was = old["robustness"]["conditions"]["true_night_sky"]
    condition = found.robustness.conditions["true_night_sky"]
    for name in ("float", "control", "trees"):
        change = condition.differences[name]["compressed"].change["auc"]
        assert plain(change) == was["differences"][name]["change"]["auc"]
    assert plain(condition.models["trees"].largest["gamma"]) == was["models"]["trees"]["largest"]["gamma"]
    assert found.inference["trees"] == Inference(0.5, 480)


def test_what_came_with_later_versions_may_be_missing_in_the_first_layout() -> None:
    old = json.loads(FIRST.read_text())
    for name in ("others", "reference", "not_judged", "robustness", "inference", "irf", "flags"):
        del old[name]
    del old["energy_bins"]["label"], old["energy_bins"]["by"], old["details"]["light"]
    del old["schema"]
    found = parse(old, EVALUATION, "evaluation.json")
    assert (found.others, found.irf, found.fair_reference, found.robustness) == ((), None, None, None)
    assert found.energy_bins.label == "True energy"
    assert found.details.light is None
    # an evaluation that says why it has no response has no models in it
    reason = parse({**old, "irf": {"reason": "no showers"}}, EVALUATION, "evaluation.json").irf
    assert (reason.reason, reason.models) == ("no showers", {})


@pytest.mark.parametrize("kind", [EVALUATION, MODEL_SUMMARY, VERIFICATION, RESOURCES])
def test_a_layout_of_the_future_is_refused(tmp_path: Path, kind: Kind[object]) -> None:
    path = tmp_path / "document.json"
    path.write_text(json.dumps({"schema": kind.schema + 1}))
    with pytest.raises(InputError) as caught:
        read(path, kind)
    assert caught.value.what == str(path)
    assert f"has schema {kind.schema + 1}" in caught.value.why
    assert f"reads up to {kind.schema}" in caught.value.why
    assert f"`trigger-ml {kind.stage}`" in caught.value.remedy


@pytest.mark.parametrize("number", ["2", True, 0, 1.5, None])
def test_a_schema_that_is_no_number_of_a_layout_is_refused(number: object) -> None:
    with pytest.raises(InputError, match="its schema number is"):
        parse({"schema": number}, EVALUATION, "evaluation.json")


@pytest.mark.parametrize("value", [None, [["x"]]], ids=["absent", "a list"])
@pytest.mark.parametrize("layout", [1, 2])
def test_damaged_evaluations_are_refused_by_name_or_read(tmp_path: Path, layout: int, value: object) -> None:
    path = tmp_path / "evaluation.json"
    write(path, EVALUATION, first())
    content = json.loads(FIRST.read_text() if layout == 1 else path.read_text())
    refused = []
    # there are thousands of places
    for place in list(places(content, depth=6))[::19]:
        try:
            parse(changed(content, place, value), EVALUATION, str(path))
        except InputError as error:
            refused.append(error)
    assert len(refused) > 20
    assert {error.what for error in refused} == {str(path)}
    assert all("not a readable evaluation of this version" in error.why for error in refused)
    assert not any("\n" in str(error) for error in refused)


@pytest.mark.parametrize(("text", "why"), [("{", "not JSON"), ("[]", "holds no JSON object")])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "resources.json"
    path.write_text(text)
    with pytest.raises(InputError, match=why) as caught:
        read(path, RESOURCES)
    assert caught.value.what == str(path)
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.json", RESOURCES)


def test_the_first_thing_that_is_wrong_is_named() -> None:
    content = plain(first())
    assert isinstance(content, dict)
    content["comparisons"]["float"]["compressed"]["metrics"]["auc"]["ratio"]["low"] = "wide"
    with pytest.raises(InputError, match=r"\(comparisons\.float\.compressed\.metrics\.auc\.ratio\.low: "):
        parse({"schema": 2, **content}, EVALUATION, "evaluation.json")

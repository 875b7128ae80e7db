"""Further models against an evaluation of the pairs they make, and the words that follow from them."""

import copy

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.evaluation.evaluate import evaluate
from trigger_ml.evaluation.events import EvaluationEvents
from trigger_ml.evaluation.reference import against_reference, honest, reference_of

CONFIG = EvaluationConfig(bootstrap=40)
PLATEAU = {"by": "plateau", "plateau": True, "gain": 0.004, "tolerance": 0.01, "window": 3, "full_epochs": 9}
SHORT = {**PLATEAU, "by": "epochs", "plateau": False, "gain": 0.034}


def sample(n: int = 600):
    rng = np.random.default_rng(1)
    label, shower = np.arange(n) % 2, np.arange(n) // 4
    energy = 10 ** rng.uniform(-0.2, 1.4, n // 4 + 1)[shower]
    events = EvaluationEvents(label, energy, shower)
    scores = [2.0 * (label - 0.5) + rng.normal(0, width, n) for width in (3.0, 1.5, 1.6)]
    return events, dict(zip(("float", "control", "compressed"), scores, strict=True))


@pytest.fixture(scope="module")
def judged():
    events, scores = sample()
    others = {"control": scores["control"]}
    return evaluate(scores["float"], scores["compressed"], events, CONFIG, 7, others=others).to_dict()


def test_a_further_model_is_compared_as_a_pair_would_be(judged) -> None:
    events, scores = sample()
    found = judged["others"]["control"]
    assert found["metrics"]["auc"]["value"] == pytest.approx(roc_auc_score(events.label, scores["control"]))
    for model in ("float", "compressed"):
        pair = evaluate(scores["control"], scores[model], events, CONFIG, 7).to_dict()["metrics"]
        for name, row in found["differences"][model].items():
            assert row == {key: pair[name][key] for key in ("difference", "ratio", "state", "verdict")}
    assert found["metrics"] == {name: row["float"] for name, row in pair.items()}


def test_the_two_models_are_judged_as_without_a_third(judged) -> None:
    events, scores = sample()
    alone = evaluate(scores["float"], scores["compressed"], events, CONFIG, 7).to_dict()
    assert alone["others"] == {}
    assert {**judged, "others": {}} == alone


def test_an_event_that_one_model_cannot_judge_is_left_out_for_all() -> None:
    events, scores = sample(200)
    scores["control"][5] = np.nan
    result = evaluate(
        scores["float"], scores["compressed"], events, CONFIG, 7, others={"control": scores["control"]}
    )
    assert result.events["used"] == 199


def test_regression_is_compared_too() -> None:
    events, _ = sample(200)
    rng = np.random.default_rng(2)
    first, control, second = (np.log10(events.energy) + rng.normal(0, 0.1, 200) for _ in range(3))
    found = evaluate(first, second, events, CONFIG, 7, "energy", others={"control": control}).to_dict()
    pair = evaluate(control, second, events, CONFIG, 7, "energy").to_dict()["metrics"]["energy_resolution"]
    assert found["others"]["control"]["differences"]["compressed"]["energy_resolution"] == {
        key: pair[key] for key in ("difference", "ratio", "state", "verdict")
    }


def test_the_loss_is_stated_against_the_control(judged) -> None:
    assert judged["metrics"]["auc"]["state"] == "better"
    content = {**judged, "reference": reference_of(judged, "auc", PLATEAU)}
    assert content["reference"]["model"] == "control"
    # its own rule says plateau, but the control shows that more training helps
    assert content["reference"]["plateau"] is False
    found = against_reference(content, "auc")
    assert found is not None
    control = judged["others"]["control"]
    assert found["reference"] == "control"
    assert found["float"] == control["metrics"]["auc"]
    assert found["difference"] == control["differences"]["compressed"]["auc"]["difference"]
    assert found["state"] in ("worse", "unchanged", "unresolved")
    assert against_reference(content, "no such figure") is None


@pytest.mark.parametrize(
    ("ending", "plateau", "words"),
    [
        (PLATEAU, True, "fell by 0.4 % from one 3 epochs to the next at full learning rate, less than 1 %"),
        (SHORT, False, "the epochs ran out: the validation loss fell by 3.4 %"),
        ({**PLATEAU, "gain": -0.02}, True, "rose by 2 %"),
        ({**SHORT, "gain": None}, False, "before there were two windows of 3"),
        ({**SHORT, "by": "schedule", "plateau": None}, None, "hides a plateau"),
        (None, None, "not trained here"),
    ],
)
def test_the_rule_that_ended_training_is_told(judged, ending, plateau, words) -> None:
    found = reference_of({**judged, "others": {}}, "auc", ending)
    assert (found["model"], found["plateau"]) == ("float", plateau)
    assert words in found["why"]


def test_a_small_gain_of_the_control_leaves_the_float_model_on_its_plateau(judged) -> None:
    content = copy.deepcopy(judged)
    row = content["others"]["control"]["differences"]["float"]["auc"]
    row["ratio"]["value"] = 0.995
    assert reference_of(content, "auc", PLATEAU)["plateau"] is True
    assert reference_of(content, "auc", SHORT)["plateau"] is False
    # a control that training made worse is no reference
    row["state"] = "better"
    assert reference_of(content, "auc", PLATEAU)["model"] == "float"


@pytest.mark.parametrize("plateau", [True, False, None])
def test_better_is_said_only_of_a_float_model_on_its_plateau(judged, plateau) -> None:
    content = {**judged, "reference": {"model": "float", "plateau": plateau, "why": ""}}
    found = against_reference(content, "auc")
    assert found is not None
    assert found["refused"] == (plateau is not True)
    assert found["state"] == ("better" if plateau else "unresolved")
    assert ("better" in found["verdict"]) == (plateau is True)
    worse = {"state": "worse", "verdict": "worse by 3 ± 1 %"}
    assert honest(content, worse) == worse

"""Any number of models against an evaluation of the pairs they make, and the words that follow from them."""

from dataclasses import replace

import numpy as np
import pytest
from pairs import evaluate_pair, with_metric
from sklearn.metrics import roc_auc_score

from trigger_ml.core.config.evaluation import EvaluationConfig
from trigger_ml.core.documents.estimates import Estimate
from trigger_ml.core.documents.evaluation import FairReference
from trigger_ml.core.documents.model import Ending
from trigger_ml.core.errors import InputError
from trigger_ml.evaluation.bookkeeping import Simulated
from trigger_ml.evaluation.direction import sky_direction
from trigger_ml.evaluation.evaluate import evaluate
from trigger_ml.evaluation.events import EvaluationEvents
from trigger_ml.evaluation.reference import against_reference, fair_reference, honest
from trigger_ml.evaluation.selection import Reconstruction

CONFIG = EvaluationConfig(bootstrap=40)
PLATEAU = Ending("plateau", plateau=True, gain=0.004, tolerance=0.01, window=3, full_epochs=9)
SHORT = replace(PLATEAU, by="epochs", plateau=False, gain=0.034)
THROWN = {
    "gamma": Simulated("gamma", 20_000, 0.5, 50.0, -2.0, 800.0),
    "proton": Simulated("proton", 90_000, 0.5, 50.0, -2.0, 1200.0, view_cone=6.0),
}


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
    return evaluate(scores, "float", events, CONFIG, 7, further=["control"], detailed=["compressed"])


def test_a_further_reference_is_compared_as_in_pairs_of_its_own(judged) -> None:
    events, scores = sample()
    found = judged.comparisons["control"]
    area = roc_auc_score(events.label, scores["control"])
    assert found["compressed"].metrics["auc"].reference.value == pytest.approx(area)
    assert set(found) == {"float", "compressed"}
    for model, row in found.items():
        alone = evaluate_pair(scores["control"], scores[model], events, CONFIG, 7)
        assert row.metrics == alone.pair().metrics
        assert row.bins == {}


def test_a_pair_is_judged_as_without_a_third(judged) -> None:
    events, scores = sample()
    alone = evaluate_pair(scores["float"], scores["compressed"], events, CONFIG, 7)
    assert alone.others == ()
    assert judged.others == ("control",)
    assert judged.pair() == alone.pair()
    assert replace(judged, comparisons=alone.comparisons) == alone


@pytest.mark.parametrize("reference", ["float", "control", "compressed"])
def test_three_models_are_three_pairs_whatever_the_reference(reference) -> None:
    """Bins, curves and decisions too: a third model changes nothing of two."""
    events, scores = sample()
    found = evaluate(scores, reference, events, CONFIG, 7)
    others = [name for name in scores if name != reference]
    assert found.reference == reference
    assert list(found.comparisons) == [reference]
    assert list(found.comparisons[reference]) == others
    for model in others:
        names = {reference: scores[reference], model: scores[model]}
        alone = evaluate(names, reference, events, CONFIG, 7)
        assert found.pair(model) == alone.pair(model)
        assert found.details.models[model] == alone.details.models[model]
        assert found.details.output_differences[model] == alone.details.output_differences[model]
        for rule, point in found.details.operating_points.items():
            assert point.comparisons[model] == alone.details.operating_points[rule].comparisons[model]
    # the difference of two is that of the other two, drawn from the same showers
    first, second = (found.pair(model).metrics["auc"].difference.value for model in others)
    between = evaluate({name: scores[name] for name in others}, others[0], events, CONFIG, 7)
    assert between.pair(others[1]).metrics["auc"].difference.value == pytest.approx(second - first)


def test_the_response_of_three_models_is_that_of_pairs() -> None:
    rng = np.random.default_rng(2)
    n = 3000
    label, shower = np.arange(n) % 2, np.arange(n) // 4
    energy = 10 ** rng.uniform(-0.2, 1.4, n // 4 + 1)[shower]
    alt0, az0, plane = np.full(n, 1.2), np.full(n, 0.01), rng.normal(0, 0.7, (n, 2))
    alt, az = sky_direction(plane, alt0, az0)
    events = EvaluationEvents(label, energy, shower, alt=alt, az=az, pointing_alt=alt0, pointing_az=az0)
    scores = {name: 2.0 * (label - 0.5) + rng.normal(0, 1.5, n) for name in ("a", "b", "c")}
    answers = {
        name: Reconstruction(
            energy * np.exp(rng.normal(0, width, n)),
            *sky_direction(plane + rng.normal(0, width, plane.shape), alt0, az0),
        )
        for name, width in (("a", 0.1), ("b", 0.2), ("c", 0.15))
    }
    given = {"simulations": THROWN, "reconstructions": answers}
    found = evaluate(scores, "b", events, CONFIG, 7, **given)
    assert found.energy_bins.label == "Reconstructed energy (b model)"
    assert found.irf.level == "reconstructed"
    assert list(found.irf.comparisons) == ["a", "c"]
    for model in ("a", "c"):
        pair = ("b", model)
        alone = evaluate(
            {name: scores[name] for name in pair},
            "b",
            events,
            CONFIG,
            7,
            simulations=THROWN,
            reconstructions={name: answers[name] for name in pair},
        )
        assert found.response(model) == alone.response(model)
        assert found.irf.models[model] == alone.irf.models[model]
    assert found.response("a").metrics["angular_resolution"].state == "better"


def test_what_is_named_must_be_among_the_models() -> None:
    events, scores = sample(200)
    for given in ({"reference": "x"}, {"reference": "float", "further": ["x"]}):
        with pytest.raises(InputError, match=r"model x: is not among those to evaluate \(float, control"):
            evaluate(scores, events=events, config=CONFIG, seed=7, **given)
    with pytest.raises(InputError, match="there is only float"):
        evaluate({"float": scores["float"]}, "float", events, CONFIG, 7)


def test_an_event_that_one_model_cannot_judge_is_left_out_for_all() -> None:
    events, scores = sample(200)
    scores["control"][5] = np.nan
    assert evaluate(scores, "float", events, CONFIG, 7).events.used == 199


def test_regression_is_compared_too() -> None:
    events, _ = sample(200)
    rng = np.random.default_rng(2)
    names = ("float", "control", "compressed")
    outputs = {name: np.log10(events.energy) + rng.normal(0, 0.1, 200) for name in names}
    found = evaluate(
        outputs, "float", events, CONFIG, 7, "energy", further=["control"], detailed=["compressed"]
    )
    alone = evaluate_pair(outputs["control"], outputs["compressed"], events, CONFIG, 7, "energy")
    assert found.comparisons["control"]["compressed"].metrics == alone.pair().metrics
    assert set(found.details.models) == {"float", "compressed"}
    assert set(found.pair("control").bins) == set(found.pair().bins)


def test_the_loss_is_stated_against_the_control(judged) -> None:
    assert judged.pair().metrics["auc"].state == "better"
    content = replace(judged, fair_reference=fair_reference(judged, "auc", PLATEAU))
    assert content.fair_reference.model == "control"
    # its own rule says plateau, but the control shows that more training helps
    assert content.fair_reference.plateau is False
    found = against_reference(content, "auc")
    assert found is not None
    control = judged.comparisons["control"]["compressed"].metrics["auc"]
    assert found.against == "control"
    assert found.reference == control.reference
    assert found.difference == control.difference
    assert found.state in ("worse", "unchanged", "unresolved")
    assert against_reference(content, "no such figure") is None


@pytest.mark.parametrize(
    ("ending", "plateau", "words"),
    [
        (PLATEAU, True, "fell by 0.4 % from one 3 epochs to the next at full learning rate, less than 1 %"),
        (SHORT, False, "the epochs ran out: the validation loss fell by 3.4 %"),
        (replace(PLATEAU, gain=-0.02), True, "rose by 2 %"),
        (replace(SHORT, gain=None), False, "before there were two windows of 3"),
        (replace(SHORT, by="schedule", plateau=None), None, "hides a plateau"),
        (None, None, "not trained here"),
    ],
)
def test_the_rule_that_ended_training_is_told(judged, ending, plateau, words) -> None:
    alone = replace(judged, comparisons={"float": judged.comparisons["float"]})
    found = fair_reference(alone, "auc", ending)
    assert (found.model, found.plateau) == ("float", plateau)
    assert words in found.why


def changed(evaluation, **values):
    """With another comparison of the float model against the control."""
    return with_metric(evaluation, "auc", model="float", reference="control", **values)


def test_a_small_gain_of_the_control_leaves_the_float_model_on_its_plateau(judged) -> None:
    small = Estimate(0.995, 0.99, 0.999)
    content = changed(judged, ratio=small)
    assert fair_reference(content, "auc", PLATEAU).plateau is True
    assert fair_reference(content, "auc", SHORT).plateau is False
    # a control that training made worse is no reference
    assert fair_reference(changed(content, state="better"), "auc", PLATEAU).model == "float"


@pytest.mark.parametrize("plateau", [True, False, None])
def test_better_is_said_only_of_a_float_model_on_its_plateau(judged, plateau) -> None:
    content = replace(judged, fair_reference=FairReference("float", plateau, ""))
    found = against_reference(content, "auc")
    assert found is not None
    assert found.refused == (plateau is not True)
    assert found.state == ("better" if plateau else "unresolved")
    assert ("better" in found.verdict) == (plateau is True)
    worse = replace(judged.pair().metrics["auc"], state="worse", verdict="worse by 3 ± 1 %")
    assert honest(content, worse) == worse

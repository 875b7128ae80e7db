"""The first layout of ``evaluation.json``, which held one pair of models, brought to the second.

It kept ``float`` and ``compressed`` beside each other in every comparison, and of further models what these
two differ from them. Parts that came with later versions may be missing.
"""

from collections.abc import Callable, Mapping

from trigger_ml.core.json_types import Json

__all__ = ["from_first"]

type Content = dict[str, Json]

PAIR = ("float", "compressed")


def _object(value: Json) -> Content:
    if not isinstance(value, dict):
        raise TypeError(f"an object is expected, not {type(value).__name__}")
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError(f"a list is expected, not {type(value).__name__}")
    return value


def _each(content: Json, change: Callable[[Json], Json]) -> Content:
    return {key: change(value) for key, value in _object(content).items()}


def _comparison(row: Json) -> Json:
    found = _object(row)
    names = {"float": "reference", "compressed": "model"}
    return {names.get(key, key): value for key, value in found.items()}


def _pair(content: Content) -> Content:
    return {
        "metrics": _each(content["metrics"], _comparison),
        "bins": _each(content.get("bins", {}), lambda rows: [_comparison(row) for row in _list(rows)]),
    }


def _against(other: Json, metrics: Content) -> Content:
    """Both models against a further one.

    At its background the gamma efficiency of the two was not kept.
    """
    own = _object(_object(other)["metrics"])

    def compared(model: str, name: str, row: Json) -> Json:
        unknown: Json = {"value": None, "low": None, "high": None, "flag": "not kept"}
        known = name != "gamma_efficiency" and name in metrics
        return {
            **_object(row),
            "reference": own[name],
            "model": _object(metrics[name])[model] if known else unknown,
        }

    return {
        model: {"metrics": {name: compared(model, name, row) for name, row in _object(rows).items()}}
        for model, rows in _object(_object(other)["differences"]).items()
    }


def _point(content: Json) -> Json:
    found = _object(content)
    rates = _object(found.get("false_positive_rate", {}))
    return {
        "label": found["label"],
        "models": {
            model: {**_object(found[model]), "false_positive_rate": rates.get(model)} for model in PAIR
        },
        "comparisons": {
            "compressed": {"metrics": _each(found["metrics"], _comparison), "flips": found["flips"]}
        },
    }


def _details(content: Json) -> Content:
    found = dict(_object(content))
    if "logit_difference" in found:
        found["output_differences"] = {"compressed": found.pop("logit_difference")}
    if "operating_points" in found:
        found["operating_points"] = _each(found["operating_points"], _point)
    return found


def _response(content: Json) -> Json:
    found = dict(_object(content))
    if "metrics" in found:
        found["comparisons"] = {"compressed": _pair(found)}
    return found or None


def _robustness(content: Json) -> Json:
    def condition(row: Json) -> Json:
        found = dict(_object(row))
        found["differences"] = _each(found["differences"], lambda part: {"compressed": part})
        return found

    found = dict(_object(content))
    if "conditions" in found:
        found["conditions"] = _each(found["conditions"], condition)
    return found


def from_first(content: Mapping[str, Json]) -> Content:
    """Content of schema 1 as schema 2."""
    found = dict(content)
    metrics = _object(found["metrics"])
    others = _each(found.get("others", {}), lambda other: _against(other, metrics))
    found["comparisons"] = {"float": {"compressed": _pair(found)}, **others}
    if "reference" in found:
        found["fair_reference"] = found["reference"]
    found["reference"] = "float"
    if "details" in found:
        found["details"] = _details(found["details"])
    if "irf" in found:
        found["irf"] = _response(found["irf"])
    if "robustness" in found:
        found["robustness"] = _robustness(found["robustness"])
    return found

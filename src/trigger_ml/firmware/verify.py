"""Proof by comparison: every backend gives every bit of every logit of the integer interpreter.

The test events and the corner inputs go through all backends. Where one differs, the first layer that
does is found by looking into the backend, so that the report can say where to search.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigger_ml.core.classes import class_scores
from trigger_ml.core.config.firmware import VerifyConfig
from trigger_ml.core.documents.verification import (
    AgainstFloat,
    BackendResult,
    Difference,
    LayerBound,
    RandomInputs,
    Verification,
)
from trigger_ml.core.errors import StageError, VerificationError
from trigger_ml.core.fixed_point import OFF_GRID, IntArray, to_float
from trigger_ml.firmware.corners import corner_inputs, random_inputs
from trigger_ml.firmware.engines.base import Backend
from trigger_ml.firmware.float_comparison import compare_with_float
from trigger_ml.firmware.ir.exactness import prove_float32_exact
from trigger_ml.firmware.ir.interpreter import evaluate, logits
from trigger_ml.firmware.ir.network import Network

__all__ = ["Check", "require_equal", "verify"]

FAST = ("native", "onnx")
"""Engines that are fast enough for random inputs; each evaluates the network in a way of its own."""
RANDOM_CHUNK = 4096
"""Random inputs made at a time."""
RANDOM_STREAM = 7
"""Of the random numbers, beside that of the corner inputs."""


@dataclass(frozen=True)
class Check:
    """A backend and how many of the test events go through it.

    Parameters
    ----------
    backend : Backend
    events : int or None
        The first so many test events (and all corner inputs); None for all.
    """

    backend: Backend
    events: int | None = None


def require_equal(result: Verification) -> None:
    """Raise if any backend differs; to be called after the result was written.

    Raises
    ------
    VerificationError
        Naming backend, layer, event, both values and both types of the first difference.
    """
    random = result.random_inputs
    if random is not None and random.difference is not None:
        raise VerificationError(
            str(random.difference),
            f"{' and '.join(random.engines)} differ in {random.mismatches} of {random.inputs} random inputs",
            "See verification.json; build again if a file was changed",
        )
    for backend in result.backends.values():
        if backend.difference is not None:
            raise VerificationError(
                str(backend.difference),
                f"{backend.mismatches} of {backend.events + (backend.corner_inputs or 0)} inputs differ",
                "See verification.json; build again if a file was changed",
            )


def _subset(counts: NDArray[np.integer], events: int | None) -> NDArray[np.integer]:
    return counts if events is None else counts[:events]


def _different(expected: Mapping[str, IntArray], found: Mapping[str, IntArray]) -> NDArray[np.bool_]:
    """Which events differ in any output."""
    rows = [
        (np.asarray(found[name]).reshape(values.shape) != values).reshape(len(values), -1).any(axis=1)
        for name, values in expected.items()
    ]
    return np.asarray(np.any(rows, axis=0))


def _value(number: np.int64) -> int | str:
    return "a value between two integers" if int(number) == OFF_GRID else int(number)


def _locate(
    network: Network, backend: Backend, counts: NDArray[np.integer], event: str, found: Mapping[str, IntArray]
) -> Difference:
    """First layer that differs for one event; ``counts`` has that event alone."""
    reference = evaluate(network, counts)
    taps = backend.taps(counts)
    if taps is None:
        note = "the backend's inner layers cannot be seen"
    else:
        note = "no layer differs when the event runs alone: the backend keeps a state between events"
    for visible, text in ((taps or {}, ""), (found, note)):
        for node in network.nodes:
            if node.name not in visible:
                continue
            expected = reference[node.name]
            values = np.asarray(visible[node.name]).reshape(expected.shape)
            wrong = np.argwhere(values != expected)
            if len(wrong):
                where = tuple(int(i) for i in wrong[0])
                return Difference(
                    backend.name,
                    node.name,
                    event,
                    where[1:],
                    _value(expected[where]),
                    _value(values[where]),
                    str(network.types[node.name]),
                    backend.type_of(node.name),
                    text,
                )
    raise AssertionError("called for an event that does not differ")


def _audit(network: Network, backend: Backend) -> tuple[int, Difference | None]:
    changed = backend.audit()
    if not changed:
        return 0, None
    layer, what = changed[0]
    known = str(network.types[layer]) if layer in network.types else "unknown"
    return len(changed), Difference(
        backend.name, layer, "every event", (), None, None, known, backend.type_of(layer), what
    )


def _check(
    network: Network,
    backend: Backend,
    inputs: NDArray[np.integer],
    expected: Mapping[str, IntArray],
    names: Sequence[str],
) -> tuple[Mapping[str, IntArray], int, Difference | None]:
    changed, audited = _audit(network, backend)
    found = backend.run(inputs)
    if missing := set(expected) - set(found):
        raise StageError(backend.name, f"gives no output {sorted(missing)}", "Build again")
    wrong = np.flatnonzero(_different(expected, found))
    difference = audited
    if len(wrong):
        first = int(wrong[0])
        one = {name: np.asarray(found[name])[first : first + 1] for name in expected}
        difference = _locate(network, backend, inputs[first : first + 1], names[first], one)
    return found, len(wrong) + changed, difference


def verify(
    network: Network,
    counts: ArrayLike,
    checks: Sequence[Check],
    config: VerifyConfig,
    *,
    seed: int,
    event_ids: Sequence[str] | None = None,
    float_logits: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    gamma_efficiency: float = 0.7,
) -> Verification:
    """Compare backends with the integer interpreter on test events and corner inputs.

    Parameters
    ----------
    network : Network
    counts : array_like of int, shape (events, *network.input.size)
        Test events.
    checks : sequence of Check
    config : VerifyConfig
        Its ``random_corners`` and ``random_events`` are used here.
    seed : int
        Of the random corner inputs.
    event_ids : sequence of str, optional
        Names of the events in reports; default: their number.
    float_logits : array_like of float, shape (events, outputs), optional
        The float model's results for the same events. The last backend of ``checks`` that is a hardware
        simulation (``csim``), or else the interpreter, is compared with them.
    labels : array_like of int, shape (events,), optional
        1 gamma, 0 hadron; for AUC and decisions.
    gamma_efficiency : float
        Of the operating point.

    Returns
    -------
    Verification
        Nothing is raised for a difference: write the result, then call `require_equal`.
    """
    events = np.asarray(counts)
    corners, corner_names = corner_inputs(network.input, random=config.random_corners, seed=seed)
    limits = (
        np.min_scalar_type(network.input.dtype.minimum),
        np.min_scalar_type(network.input.dtype.maximum),
    )
    corners = corners.astype(np.result_type(events.dtype, *limits))
    ids = [str(i) for i in range(len(events))] if event_ids is None else list(event_ids)
    expected_events = logits(network, events)
    expected_corners = logits(network, corners)
    results: dict[str, BackendResult] = {}
    source, values = "interpreter", expected_events
    for check in checks:
        chosen = _subset(events, check.events)
        n = len(chosen)
        expected = {
            name: np.concatenate([expected_corners[name], expected_events[name][:n]])
            for name in network.outputs
        }
        # corner inputs first: they are what fails first
        inputs = np.concatenate([corners, chosen])
        found, mismatches, difference = _check(
            network, check.backend, inputs, expected, [*corner_names, *ids[:n]]
        )
        results[check.backend.name] = BackendResult(
            mismatches, n, len(corners), difference, check.backend.disturbance
        )
        if check.backend.name == "csim":
            source = "csim"
            values = {name: np.asarray(found[name])[len(corners) :] for name in network.outputs}
    against = {}
    if float_logits is not None:
        against = _against_float(network, source, values, float_logits, labels, gamma_efficiency)
    proof = prove_float32_exact(network)
    return Verification(
        results,
        len(events),
        len(corners),
        all(layer.exact for layer in proof),
        tuple(LayerBound(p.name, p.op, p.bound, p.limit, p.exact) for p in proof),
        against,
        _random(network, {check.backend.name: check.backend for check in checks}, config.random_events, seed),
    )


def _random(network: Network, backends: Mapping[str, Backend], inputs: int, seed: int) -> RandomInputs | None:
    """Random inputs through two engines that share no code; the interpreter says which one is right."""
    if not inputs or not set(FAST) <= set(backends):
        return None
    rng = np.random.default_rng([seed, RANDOM_STREAM])
    first, second = (backends[name] for name in FAST)
    mismatches, difference = 0, None
    for start in range(0, inputs, RANDOM_CHUNK):
        counts = random_inputs(network.input, min(RANDOM_CHUNK, inputs - start), rng)
        wrong = np.flatnonzero(_different(first.run(counts), second.run(counts)))
        mismatches += len(wrong)
        if len(wrong) and difference is None:
            row = int(wrong[0])
            one = counts[row : row + 1]
            for backend in (first, second):
                name = f"random input {start + row}"
                difference = difference or _check(network, backend, one, logits(network, one), [name])[2]
    return RandomInputs(inputs, mismatches, FAST, difference)


def _against_float(
    network: Network,
    source: str,
    values: Mapping[str, IntArray],
    float_logits: ArrayLike,
    labels: ArrayLike | None,
    gamma_efficiency: float,
) -> dict[str, AgainstFloat]:
    """One comparison for each output number; of classes, for the score of each against the rest."""
    columns = {}
    for name in network.outputs:
        found = to_float(values[name], network.types[name].fraction)
        if found.shape[1] == 1:
            columns[name] = found[:, 0]
            continue
        found = class_scores(found) if name in network.softmaxes else found
        columns |= {f"{name}[{i}]": found[:, i] for i in range(found.shape[1])}
    reference = np.asarray(float_logits, dtype=np.float64).reshape(-1, len(columns))
    return {
        name: compare_with_float(
            column,
            reference[: len(column), i],
            None if labels is None else np.asarray(labels)[: len(column)],
            source=source,
            gamma_efficiency=gamma_efficiency,
        )
        for i, (name, column) in enumerate(columns.items())
    }

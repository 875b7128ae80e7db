"""Proof that every backend gives the network's bits."""

from trigger_ml.core import layout
from trigger_ml.core.documents.base import write
from trigger_ml.core.documents.verification import VERIFICATION
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Compare every backend with the integer interpreter, on every test event and on corner inputs."""
    import numpy as np

    from trigger_ml.firmware.engines.csim import CsimBackend
    from trigger_ml.firmware.engines.keras import KerasBackend
    from trigger_ml.firmware.engines.native import NativeBackend
    from trigger_ml.firmware.engines.onnx import OnnxBackend
    from trigger_ml.firmware.hls.project import HlsProject
    from trigger_ml.firmware.ir import serialize
    from trigger_ml.firmware.verify import Check, require_equal, verify
    from trigger_ml.models.batches import predict
    from trigger_ml.models.files import load_model
    from trigger_ml.pipeline.emulators import compiled_emulator
    from trigger_ml.pipeline.given import owner_outputs
    from trigger_ml.pipeline.sample import load_sample

    config, path = workspace.config, workspace.path
    network = serialize.load(path / layout.NETWORK)
    sample = load_sample(workspace)
    dataset, splits = sample.dataset, sample.splits
    # the slow backends see the first events only: these must be of both classes
    order = np.random.default_rng(config.seed).permutation(splits.test)
    test = dataset[order]
    model = load_model(path / layout.COMPRESSED_MODEL)
    checks = [Check(KerasBackend(model, network)), Check(OnnxBackend(path / layout.EMULATOR, network))]
    if (compiled := compiled_emulator(network, workspace.console)) is not None:
        checks.append(Check(NativeBackend(compiled)))
    if config.firmware.hls is not None:
        project = HlsProject.open(path / layout.HLS)
        checks.append(
            Check(CsimBackend(project, model, network, config.firmware.hls), config.verify.csim_events)
        )
    if config.firmware.rtl is not None:
        from trigger_ml.firmware.engines.rtl import Disturbance, RtlBackend

        for disturbance in (None, Disturbance(gap=0.25, stall=0.25, seed=config.seed)):
            rtl = RtlBackend(network, config.firmware.rtl, disturbance, path / layout.RTL)
            checks.append(Check(rtl, config.verify.rtl_events))
    if config.model.weights is not None:
        float_logits = owner_outputs(config, path, test.counts)
    else:
        float_model = load_model(path / layout.FLOAT_MODEL)
        float_logits = predict(float_model, test.counts, config.events.input.bits)
    result = verify(
        network,
        test.counts,
        checks,
        config.verify,
        seed=config.seed,
        event_ids=test.names,
        float_logits=float_logits,
        labels=test.label if config.task == "type" else None,
        gamma_efficiency=config.evaluation.gamma_efficiency,
    )
    write(path / layout.VERIFICATION, VERIFICATION, result)
    for name, backend in result.backends.items():
        workspace.console.print(
            f"  {name}: {backend.events} events and {backend.corner_inputs} corner inputs, "
            f"{backend.mismatches} mismatches",
            markup=False,
        )
    require_equal(result)


STAGE = Stage("verify", ("build",), ("verify",), (str(layout.VERIFICATION),), _work)

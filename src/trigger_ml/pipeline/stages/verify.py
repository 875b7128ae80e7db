"""Proof that every backend gives the network's bits."""

from trigger_ml.core import layout
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Compare every backend with the integer interpreter, on every test event and on corner inputs."""
    import numpy as np

    from trigger_ml.firmware.ir import serialize
    from trigger_ml.firmware.verify import verify
    from trigger_ml.models.batches import predict
    from trigger_ml.models.files import load_model
    from trigger_ml.pipeline.given import owner_outputs
    from trigger_ml.pipeline.making import Source, engines, write_verification
    from trigger_ml.pipeline.sample import load_sample

    config, path = workspace.config, workspace.path
    network = serialize.load(path / layout.NETWORK)
    sample = load_sample(workspace)
    dataset, splits = sample.dataset, sample.splits
    # the slow backends see the first events only: these must be of both classes
    order = np.random.default_rng(config.seed).permutation(splits.test)
    test = dataset[order]
    model = load_model(path / layout.COMPRESSED_MODEL)
    source = Source(config.name, network)
    checks = engines(source, model, config.hardware, config.verify, path, config.seed, workspace.console)
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
    write_verification(result, path, workspace.console)


STAGE = Stage("verify", ("build",), ("verify",), (str(layout.VERIFICATION),), _work, hardware=True)

"""Events: made, or the user's."""

from trigger_ml.core import layout
from trigger_ml.core.config import OWN_FAMILIES, ExperimentConfig
from trigger_ml.core.files import write_json
from trigger_ml.core.run import RunDirectory
from trigger_ml.pipeline.stage import Sections, Stage
from trigger_ml.pipeline.workspace import Workspace

__all__ = ["STAGE"]


def _work(workspace: Workspace) -> None:
    """Make the events, or note which files of the user take their place."""
    from trigger_ml.simulation.chunks import NIGHT_SKY
    from trigger_ml.simulation.production import simulate

    config, folder = workspace.config, workspace.path / layout.EVENTS
    if config.model.weights is not None:
        from trigger_ml.pipeline.given import prepare

        # a model that firmware cannot hold is refused before anything is made
        prepare(config)
    elif config.model.family not in OWN_FAMILIES:
        from trigger_ml.models.registry import family

        family(config.model.family)
    folder.mkdir(exist_ok=True)
    files = {"events": list(config.events.files), "night_sky": list(config.events.night_sky_files)}
    if not config.events.files:
        made = simulate(config.simulation, folder, seed=config.seed, progress=workspace.console.is_terminal)
        files["events"] = [path.name for path in made]
        if config.simulation.night_sky_events:
            files["night_sky"].append(f"{NIGHT_SKY}.dl1.h5")
    write_json(workspace.path / layout.EVENT_FILES, files)


def _depends(config: ExperimentConfig, run: RunDirectory, sections: Sections) -> Sections:
    # where events are the user's the generator's settings do not matter, the files' content does
    if config.events.files:
        return {"inputs": run.manifest()["inputs"]}
    if "trigger" in config.simulation.model_dump(mode="json"):
        from trigger_ml.simulation.registered import plug_ins

        # another version of the package that gives the algorithm may trigger otherwise
        return sections | plug_ins(config.simulation)
    return sections


STAGE = Stage("simulate", (), ("simulation", "seed"), (str(layout.EVENTS),), _work, _depends)

"""Manifests of runs of which nothing but the record is needed."""

NEEDED = {
    "compress": ("simulate", "train", "compress"),
    "verify": ("simulate", "train", "compress", "build", "verify"),
    "evaluate": ("simulate", "train", "compress", "control", "trees", "post_training", "evaluate"),
}


def manifest(until: str) -> dict[str, object]:
    """Of a run that did all that a stage needs."""
    return {"stages": {name: {"fingerprint": "x", "outputs": []} for name in NEEDED[until]}}

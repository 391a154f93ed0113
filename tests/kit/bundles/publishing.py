"""A publisher's folders: bundles to publish, and folders of keys that were split."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from models.rollout.plan import Plan
from models.rollout.stage import Stage
from serving.publishing.keys import Keys
from tests.kit.bundles.factories import make_bundle, make_manifest

STREAM = "pump-health"


def bundle_file(folder: Path, seq: int, stream: str = STREAM) -> Path:
    """The path of a small bundle, which is written into `folder`."""
    path = folder / f"{stream}-{seq}.zip"
    path.write_bytes(make_bundle(make_manifest(stream=stream, seq=seq)).content)
    return path


def split_keys(keys: Keys, folder: Path, *names: str) -> Keys:
    """A folder with the root and some of the keys, by the beginning of their names."""
    folder.mkdir()
    shutil.copy(keys.root, folder)
    for name in names:
        for path in keys.folder.glob(f"{name}*.pem"):
            shutil.copy(path, folder)
    return Keys(folder)


def make_plan(rollout: str = "r1", seq: int = 2, **more: object) -> Plan:
    """A plan of two groups: the gateway gw1 on probation at once, then all others in a shadow."""
    fields: dict[str, object] = {
        "id": rollout,
        "stream": STREAM,
        "seq": seq,
        "groups": [
            {"name": "first", "gateways": ["gw1"], "mode": "serve", "soak_s": 0},
            {"name": "rest", "share": 1.0, "soak_s": 0},
        ],
        "deadline": datetime.now(UTC) + timedelta(days=1),
    }
    return Plan.model_validate({**fields, **more})


def make_stage(stage: int, rollout: str = "r1", *, epoch: int = 1, **more: object) -> Stage:
    """A stage of the rollout of `make_plan`."""
    fields: dict[str, object] = {"rollout": rollout, "stream": STREAM, "time": datetime.now(UTC)}
    return Stage.model_validate({**fields, "epoch": epoch, "stage": stage, **more})

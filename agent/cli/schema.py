"""The JSON schemas of what the agent reads and writes: its configuration and its documents."""

import json
from pathlib import Path

from pydantic import BaseModel

from agent.config.settings import Settings
from models.control.documents import DOCUMENTS
from models.files import write_atomically


def schemas(file: Path) -> dict[Path, bytes]:
    """Every schema by the path where it belongs.

    Args:
        file: path of the configuration's schema; those of the documents are in the folder
            `control` beside it.
    """
    documents = {
        file.parent / "control" / f"{name}.schema.json": _written(document)
        for name, document in DOCUMENTS.items()
    }
    return {file: _written(Settings), **documents}


def write(file: Path) -> None:
    """Write every schema."""
    for path, content in schemas(file).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)


def stale(file: Path) -> list[Path]:
    """Paths at which there is another schema than that of this release, or none."""
    return [
        path
        for path, content in schemas(file).items()
        if not path.is_file() or path.read_bytes() != content
    ]


def _written(model: type[BaseModel]) -> bytes:
    return json.dumps(model.model_json_schema(), indent=1).encode() + b"\n"

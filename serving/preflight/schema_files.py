"""JSON schemas as files: written from the models that they describe, and compared with them."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from models.files import write_atomically


def schema(model: type[BaseModel]) -> bytes:
    """The JSON schema of a model, byte for byte as it stands in a file."""
    return json.dumps(model.model_json_schema(), indent=1).encode() + b"\n"


def write(schemas: Mapping[Path, bytes]) -> None:
    """Write each schema to its path."""
    for path, content in schemas.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)


def stale(schemas: Mapping[Path, bytes]) -> list[Path]:
    """Paths at which there is another schema than that of this release, or none."""
    return [
        path
        for path, content in schemas.items()
        if not path.is_file() or path.read_bytes() != content
    ]

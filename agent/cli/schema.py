"""The JSON schemas of what the agent reads and writes: its configuration and its documents."""

from pathlib import Path

from agent.config.settings import Settings
from models.control.documents import DOCUMENTS
from serving.preflight.schema_files import schema


def schemas(file: Path) -> dict[Path, bytes]:
    """Every schema by the path where it belongs.

    Args:
        file: path of the configuration's schema; those of the documents are in the folder
            `control` beside it.
    """
    documents = {
        file.parent / "control" / f"{name}.schema.json": schema(document)
        for name, document in DOCUMENTS.items()
    }
    return {file: schema(Settings), **documents}

"""`millhand-trainer schema`: writes the JSON schema of recipes, made from the model of a recipe."""

import argparse
import json
from pathlib import Path

from models.files import write_atomically
from trainer.console import Console
from trainer.recipe.document import Recipe

PATH = Path("config/recipe.schema.json")


def recipe_schema() -> bytes:
    """The schema as JSON in UTF-8, byte for byte as it stands in `config/`."""
    return json.dumps(Recipe.model_json_schema(), indent=2).encode() + b"\n"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add = parser.add_argument
    add("--check", action="store_true", help="exit 1 if the file is not up to date")
    add("--file", type=Path, default=PATH, help=f"file to write; default: {PATH}")


def run(options: argparse.Namespace) -> int:
    """Write the schema, or check that the file is up to date."""
    schema, path = recipe_schema(), options.file
    if not options.check:
        write_atomically(path, schema)
        return 0
    if path.is_file() and path.read_bytes() == schema:
        return 0
    Console().print(f"{path} is not up to date; run millhand-trainer schema")
    return 1

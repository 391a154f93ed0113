"""`millhand-trainer schema`: the recipe's JSON schema, generated from the model that checks it."""

import argparse
import json
from pathlib import Path

from models.files import write_atomically
from trainer.console import Console
from trainer.recipe.document import Recipe

PATH = Path("config/recipe.schema.json")


def recipe_schema() -> bytes:
    """The schema as it is written: JSON, UTF-8."""
    return json.dumps(Recipe.model_json_schema(), indent=2).encode() + b"\n"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--check", action="store_true", help="exit 1 if the file is not up to date")
    parser.add_argument("--file", type=Path, default=PATH, help=f"default: {PATH}")


def run(options: argparse.Namespace) -> int:
    """Write the schema, or say whether the file has it."""
    schema, path = recipe_schema(), options.file
    if not options.check:
        write_atomically(path, schema)
        return 0
    if path.is_file() and path.read_bytes() == schema:
        return 0
    Console().print(f"{path} is not the recipe's schema; run millhand-trainer schema")
    return 1

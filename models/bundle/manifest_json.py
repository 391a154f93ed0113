"""manifest.json: the manifest of a bundle as bytes, written and read."""

import json
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from models.bundle.manifest import Manifest
from models.errors import ManifestError
from models.validation import explain, known_keys

SCHEMA_VERSIONS: Final = (1, 2)
"""Versions that this release reads; 2 has codes, explanations and baselines of metrics."""
_MAX_SHOWN: Final = 10


def write_manifest(manifest: Manifest) -> bytes:
    """The manifest as UTF-8 JSON; the same manifest gives the same bytes."""
    fields = manifest.model_dump(mode="json")
    return json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def read_manifest(content: bytes) -> Manifest:
    """Read a manifest from the bytes of manifest.json.

    Raises:
        ManifestError: the bytes are not JSON, have another schema version, an unknown key, or a
            value that is not allowed. The message names the first ten mistakes with their places.
    """
    try:
        fields: Any = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise ManifestError(f"manifest.json is not JSON: {exc}") from exc
    version = fields.get("schema_version") if isinstance(fields, dict) else None
    if type(version) is not int or version not in SCHEMA_VERSIONS:  # true and 1.0 are equal to 1
        raise ManifestError(
            f"manifest.json has schema_version {str(version)[:20]}; "
            f"this release reads {', '.join(map(str, SCHEMA_VERSIONS))}"
        )
    try:
        return Manifest.model_validate_json(content, strict=True)
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
        found = "; ".join(_explained(error) for error in errors[:_MAX_SHOWN])
        more = f"; and {len(errors) - _MAX_SHOWN} more" if len(errors) > _MAX_SHOWN else ""
        raise ManifestError(f"manifest.json is refused: {found}{more}") from exc


def _explained(error: ErrorDetails) -> str:
    place = ".".join(map(str, error["loc"])) or "manifest"
    unknown = error["type"] == "extra_forbidden"
    known = f"unknown key; known here are {', '.join(known_keys(error['loc'], Manifest))}"
    return f"{place[:100]}: {known if unknown else explain(error)}"

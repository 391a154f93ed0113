"""Settings of the registry: where bundles come from, and the limits of a pull."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from models.settings import Seconds, Section


class Registry(Section):
    """Where signed bundles come from, and the trusted root that the operator has installed."""

    url: str
    root: Path
    poll_s: Seconds = 3600.0
    deadline_s: Seconds = 600.0
    max_bundle_bytes: Annotated[int, Field(ge=1024, le=640 << 20)] = 256 << 20

    @model_validator(mode="after")
    def _scheme_is_known(self) -> Self:
        if urlsplit(self.url).scheme not in ("file", "http", "https"):
            raise ValueError(
                f"url is '{self.url}'; it must begin with file://, http:// or https://"
            )
        return self

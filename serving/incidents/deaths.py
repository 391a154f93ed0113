"""How often the process has died while a model or an input was under way, kept over restarts.

The counts of models are forgotten once the program has been healthy for a while. Those of inputs
that are known to kill a model stay, because the broker or the journal may bring them back after any
later restart.
"""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.bundle.manifest import Sha256
from models.files import write_atomically
from serving.incidents.under_way import Death

MAX_INPUTS: Final = 100
"""Inputs whose deaths are counted; beyond, the one that was counted first is forgotten."""

MAX_MODELS: Final = 20
"""Models whose inputs are remembered; beyond, the one that died first is forgotten."""

_Count = Annotated[int, Field(ge=1)]


class _Record(BaseModel):
    """The file deaths.json.

    Attributes:
        models: deaths by digest of the bundle.
        inputs: deaths by digest of the bundle, and then of the input in hexadecimal digits.
    """

    model_config = ConfigDict(extra="forbid")

    models: dict[Sha256, _Count] = {}
    inputs: dict[Sha256, dict[str, _Count]] = {}


class Deaths:
    """Counts deaths in one file, which is replaced atomically and synced.

    Args:
        path: the file. One that is missing or damaged counts as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._record = _Record.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            self._record = _Record()

    def of_model(self, sha256: str) -> int:
        """Deaths while the model of a bundle was loaded or inferred, since it was last healthy."""
        return self._record.models.get(sha256, 0)

    def of_inputs(self, sha256: str, at_least: int) -> frozenset[bytes]:
        """Digests of the inputs of a model during which the process has died so many times."""
        inputs = self._record.inputs.get(sha256, {})
        return frozenset(bytes.fromhex(one) for one, count in inputs.items() if count >= at_least)

    def add(self, death: Death) -> None:
        """Count a death.

        Raises:
            OSError: the file cannot be written; the death is counted for this run only.
        """
        models = self._record.models
        models[death.sha256] = self.of_model(death.sha256) + 1
        if death.input:
            inputs = self._record.inputs.setdefault(death.sha256, {})
            inputs[death.input.hex()] = inputs.get(death.input.hex(), 0) + 1
            while len(inputs) > MAX_INPUTS:
                del inputs[next(iter(inputs))]
            while len(self._record.inputs) > MAX_MODELS:
                del self._record.inputs[next(iter(self._record.inputs))]
        self._write()

    def survived(self, at_least: int) -> None:
        """Forget the deaths of models, as the program has been healthy for a while.

        Args:
            at_least: deaths from which on an input is remembered as one that kills its model.

        Raises:
            OSError: the file cannot be written.
        """
        deadly = {
            sha256: {one: count for one, count in inputs.items() if count >= at_least}
            for sha256, inputs in self._record.inputs.items()
        }
        left = _Record(inputs={sha256: inputs for sha256, inputs in deadly.items() if inputs})
        if left != self._record:
            self._record = left
            self._write()

    def _write(self) -> None:
        write_atomically(self._path, self._record.model_dump_json(indent=1).encode(), mode=0o600)

"""Bundles on probation: the one before answers beside the one that serves, also after a restart.

The two of them are noted in <state_dir>/probation/<stream>.json while it lasts. After a restart the
probation begins anew, for as long as the first time: what was seen before is gone, and clocks of
gateways are not to be trusted.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.bundle.identity import BundleRef
from models.bundle.manifest import Name, Sha256
from models.errors import BundleError
from models.files import write_atomically
from serving import log, memory
from serving.model import Model
from serving.updates.attempt import Tools
from serving.updates.kept import KeptBundles
from serving.updates.slot import ShadowSlot

_FOLDER: Final = "probation"


class ProbationRecord(BaseModel):
    """The file of one stream.

    Attributes:
        serving: digest of the bundle that serves on probation.
        stream: name of the stream.
        former: digest of the bundle before it.
        seq: number of that bundle.
        version: its semantic version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    serving: Sha256
    stream: Name
    former: Sha256
    seq: Annotated[int, Field(ge=1)]
    version: str = ""

    @property
    def ref(self) -> BundleRef:
        """The bundle before."""
        return BundleRef(self.stream, self.seq, self.former, version=self.version)


class Probations:
    """Has former bundles answer beside those that serve. For the hot thread.

    Args:
        tools: store, worker and account.
        clock: monotonic seconds.
    """

    def __init__(self, tools: Tools, clock: Callable[[], float]) -> None:
        self._tools, self._clock = tools, clock
        self._kept = KeptBundles(tools)
        self._until_s: dict[str, float] = {}

    def begin(self, stream: str, slot: ShadowSlot, former: Model) -> None:
        """Have the bundle that served before answer beside the one that does from now on.

        Args:
            stream: name of the stream.
            slot: where the former bundle answers.
            former: its model.
        """
        serving = slot.champion
        if serving is None or slot.probation_s <= 0:
            return
        if self._tools.account.is_doubted(former.sha256):
            return  # the program might die of it again
        slot.begin_probation(former)
        if not slot.is_on_probation:
            return
        self._until_s[stream] = self._clock() + slot.probation_s
        ref = former.ref
        log.info("on probation", stream=stream, seq=serving.seq, former=ref.seq)
        record = ProbationRecord(
            serving=serving.sha256,
            stream=stream,
            former=ref.sha256,
            seq=ref.seq,
            version=ref.version,
        )
        self._tools.worker.submit(partial(self._write, stream, record))

    def is_on(self, stream: str, slot: ShadowSlot) -> bool:
        """Whether one goes on; ends it where its time is over, or another bundle serves."""
        if slot.is_on_probation and self._clock() < self._until_s.get(stream, 0.0):
            return True
        if slot.end_probation():
            self._tools.worker.submit(partial(self._write, stream, None))
            self._tools.worker.submit(memory.give_back)
        return False

    def resume(self, stream: str, slot: ShadowSlot) -> None:
        """Begin anew the probation that a restart has ended; the worker loads the bundle."""
        self._tools.worker.submit(partial(self._resume, stream, slot))

    def _resume(self, stream: str, slot: ShadowSlot) -> Callable[[], None] | None:
        record, serving = self._read(stream), slot.champion
        if record is None or serving is None or serving.sha256 != record.serving:
            return None
        try:
            former = self._kept.load(record.ref, may_wait=True)
        except (BundleError, OSError) as exc:
            log.warning("no probation", stream=stream, seq=record.seq, reason=str(exc))
            return None

        def begin() -> None:
            if slot.champion == serving and slot.model is None:
                self.begin(stream, slot, former)

        return begin

    def _path(self, stream: str) -> Path:
        return self._tools.store.state_dir / _FOLDER / f"{stream}.json"

    def _read(self, stream: str) -> ProbationRecord | None:
        try:
            return ProbationRecord.model_validate_json(self._path(stream).read_bytes())
        except (OSError, ValidationError):
            return None

    def _write(self, stream: str, record: ProbationRecord | None) -> None:
        path = self._path(stream)
        try:
            if record is None:
                path.unlink(missing_ok=True)
            else:
                write_atomically(path, record.model_dump_json(indent=1).encode())
        except OSError as exc:
            log.warning("probation cannot be recorded", stream=stream, reason=exc.strerror)

"""Where a candidate of one stream answers (`serving.updates.slot.ShadowSlot`)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.config.shadow import Shadow as Settings
from agent.shadow.candidate import Candidate, Marks, Turn
from agent.shadow.comparison import FAILING, Comparison, Counters
from models.bundle.identity import BundleRef
from models.bundle.manifest import Manifest, Sha256
from models.errors import IncompatibleBundleError
from serving.failure import Failure
from serving.model import Model

if TYPE_CHECKING:
    from serving.updates.shadow_record import Selection


class _Inference(Protocol):
    shadow: Candidate | None


class Stream(Protocol):
    """The part of a pipeline that is needed here."""

    @property
    def stream(self) -> str:
        """Name of the stream."""

    @property
    def model(self) -> Model | None:
        """The model that serves, None until one is activated."""

    @property
    def inference(self) -> _Inference:
        """Offers the windows that were answered to the model in the shadow."""


class KeptEvidence(BaseModel):
    """What two models have answered to the same windows, over a restart.

    Attributes:
        champion: digest of the bundle that serves.
        candidate: digest of the bundle in its shadow.
        counters: what was counted.
    """

    model_config = ConfigDict(extra="ignore")

    champion: Sha256
    candidate: Sha256
    counters: Counters


class Place:
    """The place for a shadow of one stream.

    Args:
        stream: the stream.
        settings: limits of the comparison.
        marks: what has to know of an inference of the candidate.
        turn: asks candidates at the end of a turn.
        most: windows of one turn that a candidate takes at most.
        folder: folder of what is kept of the comparison.
        is_configured: whether the newest bundle runs here unless something else is selected.
        latency_factor: how many times the latency of its budget a candidate may take.

    Attributes:
        is_configured: as given.
        selection: what is selected, and by whom; set before a model is prepared.
        shown: the candidate whose evidence is shown, also once a gate has ended its trial; None
            while there is none.
        opponent: the bundle that it is compared with.
        file: the file of what is kept.
    """

    def __init__(  # noqa: PLR0913 - each is one thing that a candidate needs
        self,
        stream: Stream,
        settings: Settings,
        marks: Marks,
        turn: Turn,
        *,
        most: int,
        folder: Path,
        is_configured: bool,
        latency_factor: float,
    ) -> None:
        self.is_configured = is_configured
        self.selection: Selection | None = None
        self.shown: Candidate | None = None
        self.opponent: BundleRef | None = None
        self.file = folder / f"{stream.stream}.evidence"
        self._stream, self._settings = stream, settings
        self._marks, self._turn, self._most = marks, turn, most
        self._latency_factor = latency_factor

    @property
    def stream(self) -> str:
        """Name of the stream."""
        return self._stream.stream

    @property
    def champion(self) -> BundleRef | None:
        """The bundle that serves; None while there is none."""
        return self._stream.model.ref if self._stream.model is not None else None

    @property
    def model(self) -> Model | None:
        """The model in the shadow; None while there is none."""
        candidate = self._stream.inference.shadow
        return candidate.model if candidate is not None else None

    @property
    def failure(self) -> Failure | None:
        """None: a candidate that fails has tripped a gate."""
        return None

    @property
    def tripped(self) -> tuple[str, str] | None:
        """Code and words of the gate that has ended the trial; None while it goes on."""
        candidate = self._stream.inference.shadow
        return candidate.comparison.tripped if candidate is not None else None

    def is_at_fault(self, code: str) -> bool:
        """Whether the model fails by itself, whatever it is compared with."""
        return code in FAILING

    def prepare(self, model: Model) -> Callable[[], bool]:
        """Make a model ready to answer in the shadow; may be called on any thread.

        Returns:
            Puts it there, to be called on the hot thread; says whether it is there now.

        Raises:
            IncompatibleBundleError: no model serves, or it reads other windows.
        """
        champion = self._stream.model
        if champion is None:
            raise IncompatibleBundleError(f"{model.ref}: no model of {self.stream} serves yet")
        _check(model.manifest, champion.manifest)
        selection = self.selection
        gates = selection.gates if selection is not None else None
        comparison = Comparison(
            champion,
            model,
            gates or self._settings.gates,
            self._settings,
            self._latency_factor * model.manifest.budget.latency_ms_p99,
        )
        if (kept := self._kept(champion.sha256, model.sha256)) is not None:
            comparison.restore(kept)
        candidate = Candidate(model, comparison, self._marks, self._turn, self._most)
        return partial(self._put, candidate, champion)

    def end(self, *, keep_evidence: bool = False) -> None:
        """Have no model answer here; its evidence goes with it unless it is to be kept."""
        self._stream.inference.shadow = None
        if not keep_evidence:
            self.shown = None

    def _put(self, candidate: Candidate, champion: Model) -> bool:
        if self._stream.model is not champion:
            return False
        self._stream.inference.shadow = self.shown = candidate
        self.opponent = champion.ref
        return True

    def _kept(self, champion: str, candidate: str) -> Counters | None:
        """What was counted of these two before a restart; reads a file."""
        try:
            kept = KeptEvidence.model_validate_json(self.file.read_bytes())
        except (OSError, ValidationError):
            return None
        return kept.counters if (kept.champion, kept.candidate) == (champion, candidate) else None


def _check(candidate: Manifest, champion: Manifest) -> None:
    """Check that both models can answer the same windows, and that their answers mean the same.

    Raises:
        IncompatibleBundleError: they cannot.
    """
    ours, theirs = f"seq {candidate.seq}", f"seq {champion.seq}, which serves"
    if (
        candidate.task != champion.task
        or candidate.outputs[0].classes != champion.outputs[0].classes
    ):
        raise IncompatibleBundleError(
            f"{ours} cannot run in the shadow of {theirs}: its answers mean something else "
            f"({candidate.task} and {champion.task}); push it without --shadow"
        )
    differing = [
        new.name
        for new, old in zip(candidate.channels, champion.channels, strict=False)
        if new != old
    ]
    if len(candidate.channels) != len(champion.channels) or differing:
        what = f"its signals differ ({', '.join(differing[:5]) or 'in their number'})"
    elif candidate.window != champion.window:
        what = "its windows differ"
    else:
        return
    raise IncompatibleBundleError(
        f"{ours} cannot run in the shadow of {theirs}: {what}, so it cannot answer the same "
        "windows; push it without --shadow, or train it with the same signals and window"
    )

"""Where a candidate of one stream answers (`serving.updates.slot.ShadowSlot`)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.config.shadow import Shadow as Settings
from agent.shadow.candidate import Candidate, Marks, Turn
from agent.shadow.comparison import FAILING, Comparison, Counters
from agent.shadow.probation import Probation
from models.bundle.identity import BundleRef
from models.bundle.manifest import Manifest, Sha256
from models.control.rollout import GateEvidence
from models.errors import IncompatibleBundleError
from serving import log
from serving.failure import Failure
from serving.model import Model

if TYPE_CHECKING:
    from serving.updates.shadow_record import Selection


class _Inference(Protocol):
    shadow: Candidate | None
    failure: Failure | None


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


class Labels(Protocol):
    """Compares what models have answered with late labels; see `agent.labels.stream`."""

    def add(
        self,
        manifest: Manifest,
        assets: Sequence[str],
        times_ns: Iterable[int],
        values: Iterable[float | None],
    ) -> None:
        """Keep what a bundle in the shadow has answered."""

    def gates(self, champion: int, candidate: int) -> Mapping[str, GateEvidence]:
        """What labels say of two bundles, by their numbers."""


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


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate that is, or was, compared with a champion.

    Attributes:
        candidate: answers in the shadow; None once the trial has ended, so that its model is gone.
        comparison: compares its answers.
        ref: the bundle of the candidate.
        opponent: the bundle that serves.
    """

    candidate: Candidate | None
    comparison: Comparison
    ref: BundleRef
    opponent: BundleRef


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
        probation_s: seconds for which a bundle that has begun to serve is on probation.
        shown: the trial whose evidence is shown, also once a gate has ended it; None without one.
        labels: compares answers with late labels; None where the stream takes none.
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
        self.probation_s = settings.probation_s
        self.shown: Trial | None = None
        self.labels: Labels | None = None
        self._probation: tuple[Candidate, Probation] | None = None
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
        candidate = self.shown.candidate if self.shown is not None else None
        return candidate.model if candidate is not None and self._is_on else None

    @property
    def failure(self) -> Failure | None:
        """None: a candidate that fails has tripped a gate."""
        return None

    @property
    def tripped(self) -> tuple[str, str] | None:
        """Code and words of the gate that has ended the trial; None while it goes on."""
        return self.shown.comparison.tripped if self.shown is not None and self._is_on else None

    @property
    def _is_on(self) -> bool:
        """Whether the candidate of the trial answers."""
        candidate = self.shown.candidate if self.shown is not None else None
        return candidate is not None and self._stream.inference.shadow is candidate

    @property
    def is_on_probation(self) -> bool:
        """Whether the former bundle answers here, as a measure of the one that serves."""
        probation = self._probation
        return probation is not None and self._stream.inference.shadow is probation[0]

    @property
    def relapse(self) -> tuple[str, str] | None:
        """Code and words of the gate that speaks against the bundle that serves on probation."""
        if self._probation is None or not self.is_on_probation:
            return None
        _, judge = self._probation
        if judge.is_over:
            self.end_probation()
        failure = self._stream.inference.failure
        if judge.tripped is not None and failure is not None:
            return failure.error.code, str(failure.error)
        return judge.tripped

    def begin_probation(self, former: Model) -> None:
        """Have the bundle that served before answer here, as a measure of the one that does now."""
        serving = self._stream.model
        assert serving is not None  # noqa: S101  it was activated just now
        try:
            _check(serving.manifest, former.manifest)
        except IncompatibleBundleError as exc:
            log.info("no probation", stream=self.stream, reason=str(exc))
            return
        judge = Probation(self._compared(former, serving))
        candidate = Candidate(former, judge, self._marks, self._turn, self._most)
        self._stream.inference.shadow = candidate
        self._probation = candidate, judge

    def end_probation(self) -> bool:
        """Have the former bundle answer no more, and let its model go; says whether there was one.

        It is also to be called after another swap, which has ended the probation.
        """
        if self.is_on_probation:
            self._stream.inference.shadow = None
        before, self._probation = self._probation, None
        return before is not None

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
        comparison = self._compared(champion, model)
        if (kept := self._kept(champion.sha256, model.sha256)) is not None:
            comparison.restore(kept)
        candidate = Candidate(model, comparison, self._marks, self._turn, self._most)
        if self.labels is not None:
            candidate.note = partial(self.labels.add, model.manifest)
        return partial(self._put, Trial(candidate, comparison, model.ref, champion.ref), champion)

    def _compared(self, champion: Model, candidate: Model) -> Comparison:
        gates = self.selection.gates if self.selection is not None else None
        latency_ms = self._latency_factor * candidate.manifest.budget.latency_ms_p99
        gates = gates or self._settings.gates
        return Comparison(champion, candidate, gates, self._settings, latency_ms)

    def end(self, *, keep_evidence: bool = False) -> None:
        """Have no model answer here; its evidence goes with it unless it is to be kept."""
        if self._is_on:
            self._stream.inference.shadow = None
        if self.shown is not None:
            self.shown = replace(self.shown, candidate=None) if keep_evidence else None

    def _put(self, trial: Trial, champion: Model) -> bool:
        if self._stream.model is not champion:
            return False
        self._stream.inference.shadow, self.shown = trial.candidate, trial
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

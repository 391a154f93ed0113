"""Puts together what runs in the shadows of the streams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from agent.config.settings import Settings
from agent.shadow.candidate import Marks, Turn
from agent.shadow.evidences import Announcer, Evidences
from agent.shadow.place import Labels, Place, Stream
from agent.shadow.spare_time import SpareTime
from serving.worker import Worker


@dataclass(frozen=True, slots=True)
class Shadows:
    """What runs in the shadows.

    Attributes:
        places: where candidates answer, by stream.
        turn: asks them at the end of a turn of the hot loop.
        evidences: publishes and keeps what they have shown.
    """

    places: Mapping[str, Place]
    turn: Turn
    evidences: Evidences

    def take_labels(self, labels: Mapping[str, Labels]) -> None:
        """Have answers compared with late labels.

        Args:
            labels: the labels by stream; a stream that takes none is missing.
        """
        for stream, place in self.places.items():
            place.labels = labels.get(stream)


def shadows_of(
    settings: Settings,
    streams: Sequence[Stream],
    marks: Marks,
    announcer: Announcer,
    worker: Worker,
) -> Shadows:
    """A place for a shadow in each stream.

    Args:
        settings: the configuration.
        streams: the pipelines.
        marks: what has to know of an inference of a candidate.
        announcer: publishes evidence.
        worker: keeps it on disk.
    """
    limits, section = settings.limits, settings.shadow
    turn = Turn(SpareTime(section.share, limits.turn_s, marks.clock.monotonic_ns))
    configured = {one.stream for one in settings.pipelines if one.shadow == "newest"}
    places = {
        one.stream: Place(
            one,
            section,
            marks,
            turn,
            most=limits.max_batch,
            folder=settings.gateway.state_dir / "shadow",
            is_configured=one.stream in configured,
            latency_factor=settings.proof.latency_factor,
        )
        for one in streams
    }
    evidences = Evidences([*places.values()], announcer, worker, section.evidence_s, monotonic)
    return Shadows(places, turn, evidences)

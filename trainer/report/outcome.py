"""What a training has come to, as a JSON document for other programs (`models.training`)."""

from pathlib import Path

from models.bundle.package import Bundle
from models.files import write_atomically
from models.training import ChampionComparison, Outcome
from trainer.evaluation.champion import Comparison


def write_outcome(file: Path, bundle: Bundle, path: Path, comparison: Comparison | None) -> None:
    """Write the document.

    Args:
        file: the file; its folder is made if it does not exist.
        bundle: the bundle.
        path: path of the bundle.
        comparison: the comparison with the champion; None where there was none.

    Raises:
        OSError: it cannot be written.
    """
    manifest = bundle.manifest
    document = Outcome(
        stream=manifest.stream,
        seq=manifest.seq,
        sha256=bundle.sha256,
        file=str(path.absolute()),
        metrics=dict(manifest.metrics.values),
        comparison=_compared(comparison) if comparison is not None else None,
    )
    write_atomically(file, document.model_dump_json(indent=2).encode() + b"\n")


def _compared(comparison: Comparison) -> ChampionComparison:
    return ChampionComparison(
        champion=comparison.label,
        verdict=comparison.difference.verdict,
        metric=comparison.metric,
        of_champion=comparison.champion,
        of_new=comparison.challenger,
        windows=comparison.windows,
        said=str(comparison)[:10_000],
    )

"""What a training found, as notes and tables on the terminal."""

from pathlib import Path
from typing import Final

from models.bundle.manifest import Metrics
from models.bundle.package import Bundle
from trainer.console import Console
from trainer.estimators.composition import composition
from trainer.estimators.fitting import TWO
from trainer.evaluation.baseline import blind, not_beaten
from trainer.report.headline import OfClass, by_class, headline
from trainer.report.reported import Reported
from trainer.report.sections.detection import HEADER, by_group
from trainer.report.trained import Trained

_SHOWN: Final = 20
"""Most assets, files or classes that the terminal lists; the report lists up to a hundred."""


def summarise(bundle: Bundle, path: Path, trained: Trained, console: Console) -> None:
    """Print notes, findings, leaderboard, metrics and warnings of a training.

    Args:
        bundle: the bundle that was written.
        path: path of its file.
        trained: the model, its data, and everything that the report shows.
        console: where it is printed.
    """
    manifest = bundle.manifest
    comparison, leaderboard = trained.comparison, trained.leaderboard
    caveats = () if comparison is None else comparison.caveats
    for said in (
        *trained.notes,
        *(str(finding) for finding in trained.findings),
        *(f"comparison: {caveat}" for caveat in caveats),
    ):
        console.note(said)
    if leaderboard is not None:
        if leaderboard.lengths:
            rows = [one.row() for one in leaderboard.lengths]
            console.grid("lengths of windows", leaderboard.lengths_header(), rows)
        console.grid(
            f"the best of {leaderboard.tried} candidates",
            leaderboard.header(leaderboard.metric),
            leaderboard.rows(),
        )
    subject = Reported(manifest, trained)
    _tell_groups(subject, console)
    console.table(
        f"{manifest.name} {manifest.version}",
        {
            **{name: said.striptags() for name, said in headline(subject).items()},
            "split": manifest.metrics.split,
            "test windows": str(manifest.metrics.test_rows),
            **{name: _beside(manifest.metrics, name) for name in manifest.metrics.values},
            "intervals": manifest.metrics.drawn,
            **composition(trained.model, trained.recipe),
            **({} if comparison is None else {"comparison": str(comparison)}),
            "parity": ", ".join(f"{k} {v:.1e}" for k, v in trained.parity.worst.items()),
            **({} if trained.optimised is None else {"int8": str(trained.optimised)}),
            "latency p99": f"{trained.latency.p99_ms:.2f} ms on one thread",
            "memory": f"{trained.memory_bytes / 1e6:.0f} MB for {trained.recipe.budget.batch} "
            "windows at a time",
            "bundle": f"{path} ({len(bundle.content)} bytes)",
            "sha256": bundle.sha256,
        },
    )
    if comparison is not None and comparison.moved:
        console.note(f"WARNING: {comparison.doubt.strip()}")
    for sentence in trained.doubts:
        console.note(f"WARNING: {sentence}")
    for sentence in (*not_beaten(manifest), *blind(manifest)):
        console.note(f"WARNING: the model is {sentence}")


def _row(found: OfClass) -> list[str]:
    """A class in quotes, because the name of one may be a number, and what became of it."""
    taken_for = f"'{found.taken_for}'" if found.taken_for else ""
    return [f"'{found.name}'", str(found.count), str(found.found), taken_for]


def _tell_groups(subject: Reported, console: Console) -> None:
    """Print alarms and faults by asset or file, or the classes, where there are several."""
    found = subject.detection
    if found is not None and found.labelled and len(found.tested) > 1:
        title, header, rows = "Alarms and faults", [found.of, *HEADER], by_group(found)
    elif len(subject.classes) > TWO:
        title, header = "Classes, the worst first", ["class", "test windows", "found", "taken for"]
        worst = sorted(by_class(subject), key=lambda one: one.found / max(one.count, 1))
        rows = [_row(one) for one in worst]
    else:
        return
    more = f"; {len(rows) - _SHOWN} more in the report" if len(rows) > _SHOWN else ""
    console.grid(f"{title}{more}", header, rows[:_SHOWN])


def _beside(metrics: Metrics, name: str) -> str:
    """A metric, and that of each trivial answer."""
    others = [f"{one} {own[name]:.4g}" for one, own in metrics.baselines.items() if name in own]
    return metrics.formatted(name) + (f"; {', '.join(others)}" if others else "")

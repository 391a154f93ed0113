"""A rollout as a text for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from models.printable import printable

_COLUMNS: Final = ("group", "gateway", "", "state", "seq", "former", "what it shows")
_MAX_SHOWN: Final = 50
_LINES: Final = 10
_WIDEST: Final = 160


def table(rollout: Mapping[str, Any]) -> str:
    """A rollout as `server.rollouts.report.described` has it, in lines of text."""
    return printable("\n".join(_lines(rollout)))


def _lines(rollout: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{rollout['id']}: {rollout['stream']} to seq {rollout['seq']}, {rollout['state']}, "
        f"step {rollout['stage']} of {rollout['steps']}, epoch {rollout['epoch'] or 'none'}"
    )
    by = f" ({rollout['by']})" if rollout["by"] else ""
    yield f"  because   {rollout['reason']}{by}"
    yield f"  deadline  {rollout['deadline']}"
    decision = rollout["decision"]
    if decision is not None and decision["action"] in ("wait", "hold", "rest"):
        until = f", until {decision['until']} at the latest" if decision["until"] else ""
        yield f"  waits     {decision['reason']}{until}"
    for trouble in filter(None, (rollout["trouble"], rollout["missing"])):
        yield f"  trouble   {trouble}"
    yield ""
    yield from _aligned([_COLUMNS, *_gateways(rollout)])
    yield ""
    yield "the last decisions, the newest first"
    decided = [one for one in rollout["ledger"] if one["what"] != "signs"]
    yield from _aligned([_ledger_row(one) for one in decided[:_LINES]])


def _gateways(rollout: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    groups = [*rollout["groups"], {"name": "(none)", "gateways": rollout["others"]}]
    for group in groups:
        for one in group["gateways"][:_MAX_SHOWN]:
            online = "online" if one["online"] else "offline"
            seq, former = one["seq"] or "-", one["former"] or "-"
            shown = one["evidence"] or one["said"]
            yield group["name"], one["gateway"], online, one["state"], str(seq), str(former), shown
        more = len(group["gateways"]) - _MAX_SHOWN
        if more > 0:
            yield group["name"], f"{more} more", "", "", "", "", ""


def _ledger_row(line: Mapping[str, Any]) -> Sequence[str]:
    return [str(line[key])[:_WIDEST] for key in ("time", "what", "state", "stage", "by", "reason")]


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows with their columns below each other; the last column has no end."""
    if not rows:
        return
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  " + "  ".join([*cells, row[-1]]).rstrip()

"""The text of a draft: a recipe in TOML, with a comment wherever a newcomer would ask."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from models import toml_text as toml
from trainer.draft.inputs import Input
from trainer.draft.proposal import Proposal

_SPLITS: Final = {
    "time": "the last quarter of the time is kept out of the training, to measure the model on",
    "group": "a quarter of the assets is kept out of the training, to measure the model on",
    "stratified": "a quarter of the rows of each class is kept out, to measure the model on",
    "random": "a quarter of the rows is kept out of the training, to measure the model on",
    "predefined": "the files that are kept out of the training, to measure the model on",
    "random-optimistic": "a quarter, drawn at random from a time series: metrics are too good",
}
_TASKS: Final = {
    "classification": "The model tells which class a row is of.",
    "regression": "The model tells a number.",
    "anomaly": "The model learns what is normal, and raises an alarm where it is not.",
}


def recipe_text(proposal: Proposal, picture: str = "") -> str:
    """The recipe as text.

    Args:
        proposal: the draft.
        picture: name of the picture of the data; empty without one.
    """
    sections = (
        _head(proposal, picture),
        _bundle(proposal),
        _data(proposal),
        *map(_signal, proposal.signals),
        _left_out(proposal),
        _window(proposal),
        _target(proposal),
        _split(proposal),
        _checks(proposal),
    )
    return "\n\n".join("\n".join(lines) for section in sections if (lines := list(section))) + "\n"


def _head(proposal: Proposal, picture: str) -> Iterator[str]:
    yield from toml.comment(f"A draft of a recipe, made by looking at {proposal.looked_at}.")
    yield from toml.comment(
        "Read it, correct it, and train with: millhand-trainer train FILE --out bundles"
    )
    yield from toml.comment("docs/recipe.md of millhand explains each key.")
    if picture:
        yield from toml.comment(f"What was looked at is drawn in {picture}.")
    if proposal.doubts:
        yield "#"
        yield "# UNSURE, to be checked first:"
        for doubt in proposal.doubts:
            yield from toml.comment(_sentence(doubt), "# - ")


def _bundle(proposal: Proposal) -> Iterator[str]:
    yield "[bundle]"
    yield toml.pair(
        "stream", proposal.stream, "the name that gateways refer to; choose a lasting one"
    )


def _data(proposal: Proposal) -> Iterator[str]:
    yield "[data]"
    yield from _pairs(proposal.data, proposal.data_notes)


def _pairs(keys: Mapping[str, Any], notes: Mapping[str, str]) -> Iterator[str]:
    for key, value in keys.items():
        note = notes.get(key, "")
        line = toml.pair(key, value, note)
        if note and len(line) > toml.WIDTH:
            yield from toml.comment(f"{key}: {note}.")
            line = toml.pair(key, value)
        yield from _folded(key, value) if len(line) > toml.WIDTH else (line,)


def _folded(key: str, value: object) -> Iterator[str]:
    """A key whose line would be too long; a list takes several."""
    if not isinstance(value, list):
        yield toml.pair(key, value)
        return
    yield f"{toml.key(key)} = ["
    line = "   "
    for item in map(toml.value, value):
        if len(line) + len(item) + 2 > toml.WIDTH and line.strip():
            yield line
            line = "   "
        line += f" {item},"
    yield from (line, "]")


def _signal(signal: Input) -> Iterator[str]:
    for note in signal.notes:
        yield from toml.comment(_sentence(note))
    yield "[[signals]]"
    yield toml.pair("name", signal.name)
    behind = {"range": "UNSURE: plausible values; those outside count as missing"}
    yield from _pairs(signal.keys, behind)


def _sentence(text: str) -> str:
    """A sentence with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def _left_out(proposal: Proposal) -> Iterator[str]:
    others = {
        name: why
        for name, why in proposal.left_out.items()
        if why not in ("it is the target", "it is the time", "it names the asset")
    }
    if others:
        yield "# Columns that are left out; [[signals]] with the name of one takes it in:"
        for name, why in others.items():
            yield from toml.comment(f"'{name}': {why}.", "# - ")


def _window(proposal: Proposal) -> Iterator[str]:
    if proposal.window:
        yield "[window]"
        yield from _pairs(proposal.window, proposal.window_notes)


def _target(proposal: Proposal) -> Iterator[str]:
    target = proposal.goal.target
    told = "The model tells the time until an asset fails." if proposal.goal.is_remaining else ""
    yield from toml.comment(told or _TASKS[str(target["task"])])
    yield "[target]"
    yield from _pairs(target, proposal.goal.behind)


def _split(proposal: Proposal) -> Iterator[str]:
    split = proposal.goal.split
    told = _SPLITS[str(split["method"])]
    if "train_rows" in split:
        told = "the first rows of each asset train, the others measure the model"
    yield from toml.comment(_sentence(told))
    yield "[split]"
    yield from _pairs(split, {})


def _checks(proposal: Proposal) -> Iterator[str]:
    if proposal.allow:
        yield from toml.comment("UNSURE: errors of these checks are let pass; see above.")
        yield "[checks]"
        yield toml.pair("allow", list(proposal.allow))

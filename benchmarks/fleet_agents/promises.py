"""What a run of a fleet has to show: each promise with the figure that was found."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from benchmarks.fleet_agents.faults import Faults
from benchmarks.fleet_agents.recording import Answer, Said
from benchmarks.fleet_agents.scenario import GOOD_SEQ, LATE_SEQ, WORSE_SEQ, Scenario
from benchmarks.fleet_agents.site import Site

BACK_S: Final = 10.0
"""Seconds within which the former bundle serves again."""
_WINDOWS, _ALARMS = 60, 30
"""The gate: half of the last windows are alarms."""


class Promise(NamedTuple):
    """A promise.

    Attributes:
        what: the promise.
        found: what was found, in words with figures.
        is_kept: whether it was kept.
    """

    what: str
    found: str
    is_kept: bool


def promises(site: Site, scenario: Scenario, faults: Faults) -> list[Promise]:
    """All promises, of a run that has come to its end."""
    return [
        _worse(site, scenario),
        _good(site, scenario),
        *_late(site, scenario),
        _away(site, scenario, faults),
        _reverted(site, scenario),
        *_readings(site),
        _one_champion(site),
        _second(scenario),
        _rising(site),
        _opened(site, scenario),
        _held(site, scenario),
        _waits(site),
        _faults(faults),
    ]


def _answers(site: Site, seq: int) -> Counter[str]:
    """Predictions of a bundle, by gateway."""
    found = {
        name: sum(one.seq == seq for one in given) for name, given in site.recording.answers.items()
    }
    return Counter({name: count for name, count in found.items() if count})


def _worse(site: Site, scenario: Scenario) -> Promise:
    told, heard = scenario.told["worse"], _answers(site, WORSE_SEQ).total()
    found = f"{told['state']} at step {told['stage']}, {heard} predictions of it"
    is_kept = (told["state"], told["stage"], heard) == ("held", 1, 0)
    return Promise("bad in the shadow: stopped in the first group, never heard", found, is_kept)


def _good(site: Site, scenario: Scenario) -> Promise:
    told = scenario.told["good"]
    serve = len(_answers(site, GOOD_SEQ))
    people = {one["what"] for one in told["ledger"] if not one["controller"]} - {"starts", "signs"}
    found = f"{told['state']}, answers on {serve} of {len(site.names)} gateways"
    is_kept = told["state"] == "done" and serve == len(site.names) and not people
    return Promise("good: done without a person", found, is_kept)


def _late(site: Site, scenario: Scenario) -> Iterator[Promise]:
    told, heard = scenario.told["late"], _answers(site, LATE_SEQ)
    found = f"{told['state']} at step {told['stage']}, {told['reason'][:60]}"
    is_held = (told["state"], told["stage"]) == ("held", 3)
    yield Promise("turns bad after the swap: the rollout is held", found, is_held)
    recording = site.recording
    took = {
        name: back_s(recording.answers[name], recording.said["current", name])
        for name in site.plant.changed
        if name in heard
    }
    known = [one for one in took.values() if one is not None]
    longest_s = max(known, default=0.0)
    found = f"{len(known)} of {len(took)} gateways, the slowest after {longest_s:.1f} s"
    is_kept = bool(took) and len(known) == len(took) and longest_s <= BACK_S
    yield Promise(f"each has its former bundle back within {BACK_S:g} s", found, is_kept)
    strangers = sum(heard[name] for name in scenario.groups[2])
    yield Promise(
        "the third group never serves it", f"{strangers} predictions there", not strangers
    )


def back_s(answers: Sequence[Answer], current: Sequence[Said]) -> float | None:
    """How long a gateway took to bring the former bundle back.

    Args:
        answers: all predictions of the gateway.
        current: what it has said of what it runs.

    Returns:
        Seconds from the answer with which half of the last 60 were alarms until it said that the
        former bundle serves; None if one of the two has not happened.
    """
    own, alarms = [one for one in answers if one.seq == LATE_SEQ], 0
    for index, one in enumerate(own):
        alarms += one.is_alarm - (index >= _WINDOWS and own[index - _WINDOWS].is_alarm)
        if alarms >= _ALARMS:
            said = (two.at_s for two in current if two.document.get("seq") == GOOD_SEQ)
            back = next((at_s for at_s in said if at_s >= one.at_s), None)
            return None if back is None else back - one.at_s
    return None


def _away(site: Site, scenario: Scenario, faults: Faults) -> Promise:
    """Who was away gets the stage of its own group, and nothing that was held."""
    wrong = [
        name
        for name in faults.were_away
        if site.current(name).get("seq") != GOOD_SEQ
        or (site.current(name).get("rollout") or {}).get("group")
        != ("first", "second", "rest")[_group(scenario, name)]
    ]
    found = f"{len(faults.were_away) - len(wrong)} of {len(faults.were_away)}"
    return Promise("who was away gets the stage of its own group", found, not wrong)


def _group(scenario: Scenario, name: str) -> int:
    return next(index for index, names in enumerate(scenario.groups) if name in names)


def _reverted(site: Site, scenario: Scenario) -> Promise:
    back = [name for name in scenario.returned if site.current(name).get("seq") == GOOD_SEQ]
    states = Counter(
        (site.current(name).get("rollout") or {}).get("state") for name in scenario.returned
    )
    found = f"{len(back)} of {len(scenario.returned)}: {dict(states)}"
    is_kept = bool(back) and set(states) == {"returned"}
    return Promise("a revert brings back what served before", found, is_kept)


def _readings(site: Site) -> Iterator[Promise]:
    """Every reading is answered, and by one bundle."""
    sent = sum(site.plant.sent.values())
    lost, repeated = 0, 0
    for name, count in site.plant.sent.items():
        rows = Counter(one.row for one in site.recording.answers[name])
        lost += len(set(range(count)) - rows.keys())
        repeated += rows.total() - len(rows)
    found = f"{lost} of {sent} lost, {repeated} answered again"
    yield Promise("no reading is lost", found, not lost)


def _one_champion(site: Site) -> Promise:
    """No reading is answered by two bundles, and by none that is not said to serve."""
    twice = 0
    for given in site.recording.answers.values():
        seqs = defaultdict(set)
        for one in given:
            seqs[one.row].add(one.seq)
        twice += sum(len(one) > 1 for one in seqs.values())
    said: set[tuple[str, int]] = {
        (name, one.document["seq"])
        for name in site.names
        for one in site.recording.said["current", name]
        if one.document.get("seq")
    }
    answered = {(name, one.seq) for name, given in site.recording.answers.items() for one in given}
    found = f"{twice} readings answered by two, {len(answered - said)} bundles that were not said"
    return Promise("one champion", found, not twice and answered <= said)


def _second(scenario: Scenario) -> Promise:
    found = scenario.refused or "it was signed"
    return Promise("a second rollout is refused", found, found == "second_rollout")


def _rising(site: Site) -> Promise:
    """Epoch and stage of a rollout only rise, in what gateways and the controller say."""
    falls, count = [], 0
    for (kind, name), said in list(site.recording.said.items()):
        if kind in ("current", "desired"):
            known = [(one, one.document.get("rollout")) for one in said]
            heard = [(one, found) for one, found in known if found]
            count += len(heard)
            falls += [name for before, after in pairwise(heard) if _is_lower(before, after)]
    found = f"{len(falls)} times lower in {count} documents"
    return Promise("epoch and stage only rise", found, not falls)


def _is_lower(before: tuple[Said, dict[str, Any]], after: tuple[Said, dict[str, Any]]) -> bool:
    (_, old), (said, new) = before, after
    if said.is_repeated or old["id"] != new["id"]:
        return False
    return bool(new["epoch"] < old["epoch"] or new["stage"] < old["stage"])


def _opened(site: Site, scenario: Scenario) -> Promise:
    """When a group is opened, enough of the one before have confirmed by then."""
    del site
    early, opened = [], 0
    for rollout in ("good", "late"):
        for line in scenario.told[rollout]["ledger"]:
            if line["what"] == "decides" and line["state"] == "running" and line["stage"] > 1:
                opened += 1
                if line["have"] is None or line["have"] < line["need"]:
                    early.append(line)
    found = f"{len(early)} of {opened} openings too early"
    return Promise("no group is opened before the former has confirmed", found, not early)


def _held(site: Site, scenario: Scenario) -> Promise:
    """A hold reaches everybody: those that are away find it when they come back."""
    epoch = scenario.told["late"]["epoch"]
    reached = [
        name
        for name in site.names
        if any(
            (hint := one.document.get("rollout") or {}).get("id") == "late"
            and hint.get("epoch") >= epoch
            and hint.get("state") in ("held", "reverted")
            for one in site.recording.said["desired", name]
        )
    ]
    found = f"{len(reached)} of {len(site.names)} gateways"
    return Promise("a hold reaches everybody", found, len(reached) == len(site.names))


def _waits(site: Site) -> Promise:
    mute = [one for one in site.waits if not (one["reason"] and one["until"])]
    gates = sorted({one["gate"] for one in site.waits})
    found = f"{len(mute)} of {len(site.waits)} without, for {', '.join(gates)}"
    return Promise("each wait has a reason and a deadline", found, not mute)


def _faults(faults: Faults) -> Promise:
    found = (
        f"controller killed {faults.killed} times, {len(faults.were_away)} gateways away, "
        f"broker restarted {faults.restarts} times"
    )
    return Promise("all of it under faults", found, bool(faults.were_away and faults.restarts))

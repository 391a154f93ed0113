"""`python -m benchmarks.made_up.list_turns`: processor time of the hot thread for lists of tags.

The messages are those of `benchmarks.lists`. As in `benchmarks.turn` it is measured in one
process, from the bytes of PUBLISHes to the bytes of predictions: no broker, no socket, no journal.
Printed is the least of all turns, which other work on the machine disturbs least, and what the JSON
parser alone would take for the same messages.
"""

from collections.abc import Callable, Sequence
from time import thread_time_ns
from typing import Final, TypeVar

import orjson

from agent.config.settings import Limits
from agent.streams.pipeline import Pipeline
from benchmarks.lists import FORMATS, Format, messages, source
from benchmarks.turn import Loop
from models.bundle.package import read_bundle
from models.input.pipeline import Pipeline as PipelineSettings
from serving.model import Model
from serving.mqtt.packets import MQTT_5, Publish, Writer
from serving.session import Session
from tests.kit.bundles.graphs import linear_bundle

SIZE: Final = 64
"""Messages of a turn."""
_TURNS, _WARM, _NS_PER_US = 60, 10, 1_000
_STREAM = "lists"
_Given = TypeVar("_Given")


def measure(form: Format) -> tuple[float, float]:
    """Microseconds for a message, and those that the JSON parser takes for it."""
    settings = {"stream": _STREAM, "inputs": [source(form)]}
    pipeline = Pipeline(PipelineSettings.model_validate(settings), Limits())
    bundle = linear_bundle(_STREAM, 1, [1.0] * form.width, length=10)
    pipeline.activate(Model(Session(read_bundle(bundle.content)), bundle.sha256))
    loop, writer = Loop(pipeline, 1), Writer(MQTT_5)
    sent = list(messages(form, SIZE * _TURNS))
    packets = [
        writer.publish(Publish(topic, payload, 1, packet_id=number % 60_000 + 1))
        for number, (topic, payload) in enumerate(sent)
    ]
    # No turn counts before the windows are full, and none with fewer messages.
    turns = [b"".join(packets[at : at + SIZE]) for at in range(0, SIZE * _TURNS, SIZE)]
    for one in turns[:_WARM]:
        loop.turn(one)
    payloads = [payload for _, payload in sent]
    some = [payloads[at : at + SIZE] for at in range(0, SIZE * _TURNS, SIZE)]
    parsed = 0.0 if form.name == "sparkplug" else _least(_parse, some)
    return _least(loop.turn, turns[_WARM:]) / SIZE, parsed / SIZE


def _parse(payloads: Sequence[bytes]) -> None:
    for one in payloads:
        orjson.loads(one)


def _least(call: Callable[[_Given], object], given: Sequence[_Given]) -> float:
    """The least microseconds that a call takes."""
    taken = []
    for one in given:
        began_ns = thread_time_ns()
        call(one)
        taken.append(thread_time_ns() - began_ns)
    return min(taken) / _NS_PER_US


def main() -> None:
    """Measure and print."""
    found = {form: measure(form) for form in FORMATS}
    print("| format | signals | us a message | x JSON's speed | JSON parser, us |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for form, (us, parser_us) in found.items():
        ratio = "" if form == form.base else f"{found[form.base][0] / us:.2f}"
        print(f"| {form.name} | {form.width} | {us:.1f} | {ratio} | {parser_us:.1f} |")


if __name__ == "__main__":
    main()

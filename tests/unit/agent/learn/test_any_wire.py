"""Whatever is on the wire, the draft is TOML that the agent accepts."""

import json
import subprocess
import sys
import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.learn.draft import draft, mistake_in, pipelines_of
from agent.learn.recipe_part import recipe_part
from agent.learn.recognition import recognised
from agent.learn.seen.wire import Bounds, Wire
from serving.mqtt.packets import Received
from tests.kit.children import ROOT

NOW_MS = 1_760_000_000_000
KEYS = st.sampled_from(
    ["ts", "values", "value", "id", "q", "unit", "name", "tag", "device", "a.b", 'x"]\n[y]', ""]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([NOW_MS, "2025-10-09T08:53:20", "1,5 bar", "good", 192, "on", "\u2028\x1b"]),
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
PAYLOADS = st.binary(max_size=80) | DOCUMENTS.map(lambda one: json.dumps(one).encode())
TOPICS = st.sampled_from(
    ["a/b", "a/c", "/a//b", "a/{x}/y", 'q"/w', "spBv1.0/g/DDATA/n/d", "v1/devices/me/telemetry", ""]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TOPICS, PAYLOADS), max_size=12))
def test_draft_is_accepted_by_the_agent(messages: list[tuple[str, bytes]]) -> None:
    wire = Wire(Bounds())
    for number, (topic, payload) in enumerate(messages):
        at_ns = (NOW_MS + number) * 1_000_000
        wire.take(Received(topic, payload, 0, retained=False, repeated=False, at_ns=at_ns))
    found = recognised(wire)
    pipelines = pipelines_of(found.sources)
    made = draft(pipelines, found.left_out)
    text = "\n".join(made.lines)
    accepted = tomllib.loads(text).get("pipelines", [])
    assert len(accepted) == made.pipelines
    assert not accepted or mistake_in(accepted) == ""
    assert "\x1b" not in text
    if pipelines:
        assert tomllib.loads("\n".join(recipe_part(pipelines, "agent.toml", "part.toml")))["window"]


def test_other_commands_do_not_load_what_learn_needs() -> None:
    code = "import sys, agent.cli.commands, agent.service; print(*sys.modules)"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    loaded = done.stdout.split()
    assert "agent.service" in loaded
    assert [name for name in loaded if name.startswith("agent.learn")] == []

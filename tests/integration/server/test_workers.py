"""Several processes on one port: one server for clients, for Prometheus and for systemd."""

import http.client
import json
import os
import signal
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.__main__ import main
from serving.program.early_signals import RELOADING
from tests.kit.broker.brokers import HOST
from tests.kit.broker.certificates import make_certificates
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.mirrors import mirror
from tests.kit.bundles.published import Published
from tests.kit.children import python
from tests.kit.gateway.evil import evil_bundle
from tests.kit.gateway.notify_socket import NotifySocket
from tests.kit.model_server import LOOKS, ModelServer
from tests.kit.waiting import eventually

UNIT = Path(__file__).parents[3] / "systemd" / "millhand-server.service"
INFER = "/v2/models/mass/infer"
WORKERS = 2
SLOW_LAYERS = 500
WAIT_S = 40.0
PAGE: Mapping[str, object] = {"broker": {"host": HOST}}
DEADLY = 90.0
"""A value that models of the kinds "... above 70" fail on."""


def processes(server: ModelServer) -> list[psutil.Process]:
    """The workers that live."""
    found = []
    for one in psutil.Process(server.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # it has ended in the meantime
            if "server.worker" in one.cmdline():
                found.append(one)
    return found


def owner(server: ModelServer, connection: http.client.HTTPConnection) -> int:
    """Process id of the worker that has the other end of a connection; 0 before one has it."""
    port = connection.sock.getsockname()[1]
    for one in processes(server):
        with suppress(psutil.NoSuchProcess):  # as above
            if any(end.raddr and end.raddr.port == port for end in one.net_connections("tcp")):
                return int(one.pid)
    return 0


@contextmanager
def lines(server: ModelServer) -> Iterator[dict[int, http.client.HTTPConnection]]:
    """A connection to each worker, by the id of its process."""
    found: dict[int, http.client.HTTPConnection] = {}
    opened = []
    try:
        while len(found) < WORKERS:
            one = http.client.HTTPConnection(HOST, server.port, timeout=20)
            opened.append(one)
            one.connect()
            found.setdefault(eventually(lambda one=one: owner(server, one)), one)  # type: ignore[misc]  # a default binds it
        yield found
    finally:
        for one in opened:
            one.close()


def ask(
    connection: http.client.HTTPConnection, path: str, body: Mapping[str, Any] | None = None
) -> tuple[int, bytes]:
    """Send a request on a connection that stays open."""
    content = json.dumps(body).encode() if body is not None else None
    connection.request("GET" if body is None else "POST", path, content)
    got = connection.getresponse()
    return got.status, got.read()


def window(value: float) -> Mapping[str, Any]:
    tensor = {"name": "window", "datatype": "FP32", "shape": [1, 1, 1], "data": [value]}
    return {"inputs": [tensor]}


def versions(connection: http.client.HTTPConnection) -> list[str]:
    status, body = ask(connection, "/v2/models/mass")
    return list(json.loads(body)["versions"]) if status == 200 else []


def metrics(connection: http.client.HTTPConnection) -> Counter[str]:
    """Sums of all samples by name, and those with a label also by `name/value`."""
    status, body = ask(connection, "/metrics")
    assert status == 200
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(body.decode()):
        for one in family.samples:
            found[one.name] += one.value  # type: ignore[assignment]  # a counter of numbers
            for value in one.labels.values():
                found[f"{one.name}/{value}"] += one.value  # type: ignore[assignment]  # as above
    return found


def is_balanced(found: Counter[str]) -> bool:
    ended = found["millhand_requests_answered_total"] + found["millhand_requests_refused_total"]
    under_way = found["millhand_requests_under_way"]
    return found["millhand_requests_received_total"] == ended + under_way


def made(folder: Path, published: Published, **limits: object) -> ModelServer:
    sections: Mapping[str, Mapping[str, object]] = {
        "server": {"workers": WORKERS},
        "limits": limits,
    }
    return ModelServer(folder / "home", published, [{"stream": "mass"}], sections)


def serving(server: ModelServer) -> ModelServer:
    """The server, once each of its workers has a model."""
    server.start()

    def have_models() -> bool:
        with closing(http.client.HTTPConnection(HOST, server.port, timeout=20)) as one:
            return metrics(one)["millhand_model_versions"] == 1

    eventually(have_models, WAIT_S, "a model in each worker")
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """Two workers under the filter of the unit, with value = c0."""
    folder: Path = tmp_path_factory.mktemp("workers")
    published = Published.create(folder)
    published.publish(linear_bundle("mass", 1, [1.0]))
    with mirror(published.folder) as web, made(folder, published) as one:
        one.sections = {**one.sections, "registry": {**LOOKS, "url": web.url}}
        one.under = python("tests.kit.gateway.sandbox", UNIT)
        serving(one)
        yield one
        fetched = Counter(path for path, *_ in web.requests if path.endswith(".zip"))
        assert set(fetched.values()) == {1}


def test_each_worker_answers_and_knows_what_all_have_counted(server: ModelServer) -> None:
    with lines(server) as connections:
        assert len(connections) == WORKERS
        first, second = connections.values()
        before = metrics(first)
        for number, connection in enumerate((first, second, second, first, second)):
            status, body = ask(connection, INFER, window(number))
            assert status == 200
            assert json.loads(body)["outputs"][0]["data"] == [float(number)]
        assert ask(first, "/v2/models/nobody")[0] == 404
        after = [metrics(one) for one in (first, second)]
        counted = [json.loads(ask(one, "/v2/models/stats")[1]) for one in (first, second)]
    assert counted[0] == counted[1]
    assert counted[0]["model_stats"][0]["inference_count"] == 5
    for found, more in zip(after, (1, 2), strict=True):
        assert is_balanced(found)
        assert found["millhand_workers"] == WORKERS
        assert found["millhand_requests_under_way"] == 1
        answered = found["millhand_requests_answered_total"]
        assert answered - before["millhand_requests_answered_total"] == 5 + more
        name = "millhand_requests_refused_total/not_found"
        assert found[name] - before[name] == 1
        name = "millhand_batch_windows_sum"
        assert found[name] - before[name] == 5


def test_connections_are_shared_out_evenly(server: ModelServer) -> None:
    with ExitStack() as stack:

        def opened() -> http.client.HTTPConnection:
            one = http.client.HTTPConnection(HOST, server.port, timeout=20)
            stack.enter_context(closing(one)).connect()
            return one

        first = opened()
        eventually(lambda: metrics(first)["millhand_connections"] == 1, WAIT_S)
        all_of_them = [first, *(opened() for _ in range(7))]
        owners = Counter(
            eventually(lambda one=one: owner(server, one))  # type: ignore[misc]  # a default binds it
            for one in all_of_them
        )
    assert sorted(owners.values()) == [4, 4]


def test_new_version_is_fetched_once_and_reaches_every_worker(server: ModelServer) -> None:
    with lines(server) as connections:
        before = metrics(next(iter(connections.values())))
        server.published.publish(linear_bundle("mass", 2, [1.0], bias=1000.0))
        for connection in connections.values():
            eventually(lambda one=connection: versions(one) == ["2"], WAIT_S)  # type: ignore[misc]  # a default binds it
            _, body = ask(connection, INFER, window(5.0))
            assert json.loads(body)["outputs"][0]["data"] == [1005.0]
        after = metrics(connection)
    name = "millhand_model_reloads_total/activated"
    assert after[name] - before[name] == 1


def test_bundle_that_fails_its_proof_is_served_by_no_worker(server: ModelServer) -> None:
    name = "millhand_model_reloads_total/refused"
    with lines(server) as connections:
        running = {number: versions(one) for number, one in connections.items()}
        connection = next(iter(connections.values()))
        server.published.publish(linear_bundle("mass", 3, [1.0], golden_wrong=True))
        eventually(lambda: metrics(connection)[name], WAIT_S)
        assert {number: versions(one) for number, one in connections.items()} == running


def await_others(server: ModelServer, victim: int) -> None:
    """Wait until a worker that has died is replaced."""
    what = "another worker in place of the one that has died"
    eventually(lambda: are_others_there(server, victim), WAIT_S, what)


def are_others_there(server: ModelServer, victim: int) -> bool:
    """Whether there are as many workers as there were, without one that has died."""
    found = [one.pid for one in processes(server)]
    return len(found) == WORKERS and victim not in found


def await_version(server: ModelServer, version: str) -> Counter[str]:
    """Wait until every worker answers with a version; returns what was counted then."""
    with lines(server) as connections:
        for connection in connections.values():
            eventually(lambda one=connection: versions(one) == [version], WAIT_S)  # type: ignore[misc]  # a default binds it
        return metrics(connection)


@contextmanager
def load(server: ModelServer) -> Iterator[tuple[Counter[int], Counter[str]]]:
    """Clients that ask all the time; counts statuses, and errors of connections by their type."""
    enough, answered, lost = threading.Event(), Counter[int](), Counter[str]()

    def client() -> None:
        while not enough.is_set():
            try:
                answered[server.request("POST", INFER, window(1.0)).status] += 1
            except (http.client.HTTPException, OSError) as exc:
                lost[type(exc).__name__] += 1

    with ThreadPoolExecutor(4) as clients:
        running = [clients.submit(client) for _ in range(4)]
        try:
            yield answered, lost
        finally:
            enough.set()
        for one in running:
            one.result()


@pytest.mark.parametrize("which", ["first", "second"])
def test_worker_that_is_killed_under_load_is_replaced(server: ModelServer, which: str) -> None:
    victim = sorted(one.pid for one in processes(server))[which == "second"]
    with lines(server) as connections:
        before = metrics(connections[victim])
    with load(server) as (answered, lost):
        eventually(lambda: answered[200] > 20, WAIT_S)
        os.kill(victim, signal.SIGKILL)
        await_others(server, victim)
        eventually(lambda so_far=answered[200]: answered[200] > so_far + 20, WAIT_S)  # type: ignore[misc]  # a default binds it
    with lines(server) as connections:
        for connection in connections.values():
            eventually(lambda one=connection: versions(one), WAIT_S)  # type: ignore[misc]  # a default binds it
        found = metrics(connection)
    assert set(answered) == {200}
    assert lost.total() < answered[200]  # what the worker had, and nothing else
    assert found["millhand_worker_deaths_total"] == before["millhand_worker_deaths_total"] + 1
    assert found["millhand_workers"] == WORKERS
    assert is_balanced(found)


def test_signals_that_ask_for_a_reload_end_no_worker_that_starts(server: ModelServer) -> None:
    victim = processes(server)[-1].pid
    name = "millhand_worker_deaths_total"
    with lines(server) as connections:
        before = metrics(connections[victim])[name]
    os.kill(victim, signal.SIGKILL)

    def is_replaced() -> bool:
        for number in RELOADING:
            os.killpg(server.process.pid, number)
        if not are_others_there(server, victim):
            return False  # clients may still be handed to the one that has died
        with closing(http.client.HTTPConnection(HOST, server.port, timeout=20)) as one:
            found = metrics(one)
        return found[name] > before and found["millhand_workers"] == WORKERS

    eventually(is_replaced, WAIT_S, "another worker in place of the one that was killed")
    with lines(server) as connections:
        assert [metrics(one)[name] for one in connections.values()] == [before + 1] * WORKERS


def test_worker_that_hangs_is_replaced_and_what_it_has_counted_is_kept(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0]))
    with made(tmp_path, published, worker_silent_s=5.0) as server:
        serving(server)
        victim = processes(server)[-1]
        with lines(server) as connections:
            for _ in range(50):
                assert ask(connections[victim.pid], INFER, window(1.0))[0] == 200
            before = metrics(connections[victim.pid])
        victim.suspend()
        await_others(server, victim.pid)
        assert "worker hangs" in server.log
        found = await_version(server, "1")
        for name in ("requests_received", "requests_answered", "requests_refused"):
            assert found[f"millhand_{name}_total"] >= before[f"millhand_{name}_total"]
        assert found["millhand_batch_windows_sum"] == 50


def test_model_that_kills_a_worker_is_replaced_in_all(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(evil_bundle("crash above 70", "mass", 1))
    with made(tmp_path, published) as server:
        server.sections = {**server.sections, "registry": LOOKS}
        serving(server)
        published.publish(evil_bundle("crash above 70", "mass", 2))
        await_version(server, "2")
        for _ in range(2):
            with lines(server) as connections:
                second = max(connections)
                with pytest.raises((http.client.HTTPException, OSError)):
                    ask(connections[second], INFER, window(DEADLY))
            await_others(server, second)
        found = await_version(server, "1")
        assert found["millhand_model_reloads_total/rolled_back"] == 1
        assert "worker died" in server.log


def test_model_that_fails_in_one_worker_is_replaced_in_all(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0]))
    with made(tmp_path, published) as server:
        server.sections = {**server.sections, "registry": LOOKS}
        serving(server)
        published.publish(evil_bundle("error above 70", "mass", 2))
        await_version(server, "2")
        with lines(server) as connections:
            second = connections[max(connections)]
            for _ in range(3):
                assert ask(second, INFER, window(DEADLY))[0] == 500
        assert await_version(server, "1")["millhand_model_reloads_total/rolled_back"] == 1


def test_encrypted_connections_are_handed_over_too(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    own = make_certificates(tmp_path / "own")
    with made(tmp_path, published) as server:
        files = {"cert_file": str(own.cert_file), "key_file": str(own.key_file)}
        server.sections = {**server.sections, "access": files}
        server.tls = ssl.create_default_context(cafile=own.ca_file)
        server.start()
        for _ in range(2 * WORKERS):
            assert server.request("GET", "/v2/health/live").status == 200
        server.tls = ssl.create_default_context()
        with pytest.raises(ssl.SSLError):
            server.request("GET", "/v2/health/live")
        server.tls = ssl.create_default_context(cafile=own.ca_file)
        found = server.request("GET", "/metrics").body.decode()
        assert f"millhand_requests_received_total {2 * WORKERS + 1}.0" in found


def test_systemd_hears_of_one_service(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0], layers=SLOW_LAYERS))
    with NotifySocket() as systemd, made(tmp_path, published) as server:
        variables = [f"{name}={value}" for name, value in systemd.environment.items()]
        server.under = ["/usr/bin/env", *variables]
        serving(server)
        assert systemd.assignments.count("READY=1") == 1
        expected = f"serving mass#1; {WORKERS} of {WORKERS} workers"
        eventually(lambda: systemd.status == expected, WAIT_S)
        pings = systemd.pings
        eventually(lambda: systemd.pings > pings, WAIT_S)
        with ThreadPoolExecutor(4) as clients:
            running = [clients.submit(server.request, "POST", INFER, window(1.0)) for _ in range(8)]
            assert running[0].result().status == 200
            assert server.stop() == 0
        done = [one for one in running if one.exception() is None]
        assert {one.result().status for one in done} <= {200, 503}
        assert systemd.assignments.count("STOPPING=1") == 1
    assert "INFO stopped" in server.log


def test_workers_that_die_too_often_end_the_server(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    with made(tmp_path, published, worker_deaths=1) as server:
        server.start()
        victim = processes(server)[0].pid
        os.kill(victim, signal.SIGKILL)
        await_others(server, victim)
        os.kill(processes(server)[0].pid, signal.SIGKILL)
        assert eventually(server.process.poll, WAIT_S) == 70


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    with made(tmp_path, published) as server:
        server.start()
        left = processes(server)
        assert len(left) == WORKERS
        server.kill()
        assert psutil.wait_procs(left, timeout=WAIT_S)[1] == []


def test_what_ends_every_worker_ends_the_server_with_its_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = made(tmp_path, Published.create(tmp_path))
    server.sections = {**server.sections, "inference": {"device": "cuda:99"}}
    assert main(["run", "--config", str(server.write_config())]) == 78
    said = capfd.readouterr().err
    assert "cuda" in said
    assert said.count("worker started") == 1


def test_check_tells_of_more_workers_than_cores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = made(tmp_path, Published.create(tmp_path))
    config = str(server.write_config())
    for count, is_told in ((1, False), (64, True)):
        assert main(["check", "--config", config, "--workers", str(count)]) == 0
        said = capsys.readouterr().out
        assert ("server.workers is 64" in said) == is_told
        assert ("workers   64" in said) == is_told


def test_address_in_use_is_told_before_a_worker_is_started(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    with made(tmp_path / "a", published) as server:
        server.start()
        other = made(tmp_path / "b", published)
        other.sections = {**other.sections, "server": {"workers": 2, "port": server.port}}
        assert main(["run", "--config", str(other.write_config())]) == 75


@pytest.mark.parametrize(
    "given",
    ["0", "-1", "65", "nonsense", "2.5", ""],
    ids=["none", "negative", "too many", "text", "fraction", "nothing"],
)
def test_number_of_workers_that_is_none_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], given: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", f"--workers={given}"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"'{given}'" in said
    assert "1 to 64" in said


@pytest.mark.parametrize(
    ("sections", "arguments", "named"),
    [
        ({"server": {"workers": 0}}, [], "server.workers"),
        ({"server": {"workers": 2}, "console": PAGE}, [], "[console]"),
        ({"console": PAGE}, ["--workers", "2"], "[console]"),
        ({"server": {"repository_control": True}}, ["--workers", "2"], "repository_control"),
        ({"grpc": {"port": 8471}}, ["--workers", "2"], "[grpc]"),
    ],
    ids=["none", "page in the file", "page on the command line", "control", "gRPC"],
)
def test_what_needs_one_process_is_refused_with_several(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    sections: Mapping[str, Mapping[str, object]],
    arguments: list[str],
    named: str,
) -> None:
    published = Published.create(tmp_path)
    server = ModelServer(tmp_path / "home", published, [{"stream": "mass"}], sections)
    config = server.write_config()
    for command in ("run", "check"):
        assert main([command, "--config", str(config), *arguments]) == 78
        said = capsys.readouterr().err
        assert named in said
        assert "Traceback" not in said

"""Callers over gRPC of all habits: proper, impatient, hung, too long, and none that speak it.

`python -m tests.kit.http.callers --minutes 10` starts a server, has them call it, kills it half way
and starts it again under load, and prints what came of it, and the server's memory at each eighth.
"""

import argparse
import os
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

from tests.kit.broker.brokers import HOST, free_port
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.model_server import ModelServer

INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
_CLIENT_S: Final = 2.0
GRPC: Final = {"max_calls": 48, "max_connections": 64, "max_message_bytes": 1 << 20}
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS: Final = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_AT_ONCE: Final = 16
_PAUSE_S: Final = 0.05
_PATIENCE_S: Final = 20.0
_WARM_S: Final = 10.0


class Callers:
    """Threads that call until it is over.

    Args:
        port: port of the server for gRPC.

    Attributes:
        outcomes: what calls came to, by habit; `wrong` must not be among them.
        over: ends all of them.
    """

    def __init__(self, port: int) -> None:
        self.outcomes = Counter[str]()
        self.over = threading.Event()
        self._port = port
        self._pool = ThreadPoolExecutor(32)

    def begin(self) -> None:
        """Let them call."""
        habits: dict[Callable[[random.Random], str], int] = {
            self.ask: 6,
            self.cancel: 4,
            self.ask_in_vain: 2,
            self.send_too_much: 2,
            self.send_nothing: 4,
            self.make_noise: 4,
            self.hang: 8,
        }
        for habit, count in habits.items():
            for number in range(count):
                self._pool.submit(self._again, habit, random.Random(number))  # noqa: S311  it shall be repeatable

    def end(self) -> None:
        """Have them end, and wait for it."""
        self.over.set()
        self._pool.shutdown()

    def ask(self, source: random.Random) -> str:
        """Ask some times on a connection of its own, and look whether the answers are right."""
        with self._channel() as channel:
            infer = channel.unary_unary(INFER, None, service_pb2.ModelInferResponse.FromString)
            for _ in range(source.randint(1, 20)):
                number = source.randrange(50)  # within the range of the signal
                found = infer(message(number), timeout=_PATIENCE_S)
                (value,) = np.frombuffer(found.raw_output_contents[0], np.float32)
                if (found.id, value) != (str(number), number + 10):
                    return "wrong"
                self.outcomes["ask: right"] += 1
        return ""

    def cancel(self, source: random.Random) -> str:
        """Ask many times at once, and cancel it all before, while, or after it is answered."""
        with self._channel() as channel:
            infer = channel.unary_unary(INFER)
            for _ in range(20):
                calls = [infer.future(message(7), timeout=_PATIENCE_S) for _ in range(_AT_ONCE)]
                self.over.wait(source.random() * _PAUSE_S)
                for call in calls:
                    call.cancel()
        return "cancelled"

    def ask_in_vain(self, source: random.Random) -> str:
        """Ask with next to no time for it."""
        with self._channel() as channel:
            for _ in range(50):
                with suppress(grpc.RpcError):
                    channel.unary_unary(INFER)(message(7), timeout=source.random() * 0.005)
        return "asked in vain"

    def send_too_much(self, source: random.Random) -> str:
        """Send a message beyond the limit."""
        with self._channel() as channel:
            channel.unary_unary(INFER)(bytes(source.randint(2 << 20, 8 << 20)), timeout=_PATIENCE_S)
        return "wrong"  # it must be refused

    def send_nothing(self, source: random.Random) -> str:
        """Begin calls without a message; some end them, and some just go."""
        left = threading.Event()

        def nothing() -> Iterator[bytes]:
            left.wait(_PATIENCE_S)
            yield from ()

        with self._channel() as channel:
            calls = [channel.stream_unary(INFER).future(nothing()) for _ in range(2)]
            if source.random() < 0.5:
                calls[0].exception(timeout=_PATIENCE_S)
            left.set()
        return "sent nothing"

    def make_noise(self, source: random.Random) -> str:
        """Send what is no HTTP/2, or frames without sense behind a right beginning."""
        with socket.create_connection((HOST, self._port), timeout=_PATIENCE_S) as client:
            begin = source.choice((b"", _PREFACE, _PREFACE + _SETTINGS, b"GET / HTTP/1.1\r\n\r\n"))
            client.sendall(begin + source.randbytes(source.randrange(2000)))
            client.settimeout(_PAUSE_S)
            client.recv(1 << 16)
        return "made noise"

    def hang(self, source: random.Random) -> str:
        """Connect, and say nothing, or nothing more."""
        with socket.create_connection((HOST, self._port), timeout=_PATIENCE_S) as client:
            client.sendall(source.choice((b"", _PREFACE[:10], _PREFACE + _SETTINGS)))
            self.over.wait(10 * source.random())
        return "hung"

    def _channel(self) -> Any:  # noqa: ANN401  gRPC's, without types
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        return grpc.insecure_channel(f"{HOST}:{self._port}", options)

    def _again(self, habit: Callable[[random.Random], str], source: random.Random) -> None:
        while not self.over.is_set():
            try:
                outcome = habit(source)
            except grpc.RpcError as exc:
                outcome = exc.code().name
                self.over.wait(_PAUSE_S)
            except (OSError, grpc.FutureTimeoutError) as exc:
                outcome = type(exc).__name__
                self.over.wait(_PAUSE_S)
            if outcome:
                self.outcomes[f"{habit.__name__}: {outcome}"] += 1


class State(NamedTuple):
    """What a process uses.

    Attributes:
        resident_mib: memory in RAM, MiB.
        files: files that it has open.
        seconds: processor time, seconds.
    """

    resident_mib: float
    files: int
    seconds: float

    def __str__(self) -> str:
        """For the one who watches."""
        return f"{self.resident_mib:.1f} MiB, {self.files} files, {self.seconds:.0f} s"


def state(pid: int) -> State:
    """What a process uses at this moment."""
    folder = Path(f"/proc/{pid}")
    pages = int((folder / "statm").read_text().split()[1])
    ticks = (folder / "stat").read_text().rpartition(")")[2].split()
    return State(
        pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20),
        len(list((folder / "fd").iterdir())),
        (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK"),
    )


def message(number: int) -> bytes:
    """A request for one window, whose answer is `number` + 10."""
    request = service_pb2.ModelInferRequest(model_name="mass", id=str(number))
    request.inputs.add(name="window", datatype="FP32", shape=(1, 1, 2))
    request.raw_input_contents.append(np.array([number, -1], np.float32).tobytes())
    content: bytes = request.SerializeToString()
    return content


def called_server(folder: Path) -> ModelServer:
    """A server for callers, which is not started yet; its model answers c0 + 10 where c1 is -1."""
    published = Published.create(folder)
    published.publish(linear_bundle("mass", 1, [1.0, -10.0]))
    sections: dict[str, dict[str, object]] = {
        "limits": {"client_s": _CLIENT_S},
        "grpc": {**GRPC, "port": free_port()},
    }
    return ModelServer(folder / "home", published, [{"stream": "mass"}], sections)


def watched(folder: Path, minutes: float) -> tuple[Callers, list[str]]:
    """Have a server called for a while, and killed half way.

    Returns:
        The callers, and lines with what the server has used.
    """
    with called_server(folder) as server:
        server.start_serving()
        port = server.sections["grpc"]["port"]
        assert isinstance(port, int)
        callers = Callers(port)
        callers.begin()
        try:
            lines = _eighths(server, callers, minutes)
            server.kill()
            begun_s = time.monotonic()
            server.start_serving()
            lines.append(f"killed; ready {time.monotonic() - begun_s:.2f} s after the restart")
            lines += _eighths(server, callers, minutes)
        finally:
            callers.end()
    return callers, [*lines, *(["a traceback in the log"] * ("Traceback" in server.log))]


def _eighths(server: ModelServer, callers: Callers, minutes: float) -> list[str]:
    lines = []
    for seconds in (_WARM_S, *[7.5 * minutes] * 4):
        callers.over.wait(seconds)
        lines.append(f"{seconds:g} s later: {state(server.process.pid)}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Let them call for a while, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.http.callers", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="callers-") as name:
        callers, lines = watched(Path(name), chosen.minutes)
    counted = [f"{name}: {count}" for name, count in sorted(callers.outcomes.items())]
    sys.stdout.write("\n".join([*lines, *counted]) + "\n")
    return int(any("wrong" in name for name in callers.outcomes) or "traceback" in lines[-1])


if __name__ == "__main__":
    sys.exit(main())

"""The contenders, each a program that is started on a port of its own and answers a case or two.

nginx answers every request by the same bytes, which is the limit. MLServer and MLflow serve the
graph of the same bundle; neither takes tensors as raw bytes over REST.
"""

import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.http.environments import MLFLOW, MLSERVER, environment
from benchmarks.http.requests import BINARY, JSON, Post, mlflow, open_inference
from benchmarks.load.workload import GRAPH, KEYS, REGISTRY, ROWS, SCALARS
from serving.publishing.keys import Keys
from tests.kit.broker.brokers import HOST, free_port
from tests.kit.bundles.published import Published
from tests.kit.children import Child, run
from tests.kit.model_server import ModelServer

OURS = "millhand-server"
_PEERS = Path(__file__).parent / "peers"
_START_S = 120.0
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that runs.

    Attributes:
        name: name in the tables.
        pid: id of its first process; those that it has started are in the same session.
        port: TCP port.
        posts: the request of each case that it answers.
    """

    name: str
    pid: int
    port: int
    posts: Mapping[str, Post]


@contextmanager
def server(folder: Path) -> Iterator[Contender]:
    """The server with both forests of the registry in `folder`."""
    published = Published(folder / REGISTRY, Keys(folder / KEYS))
    streams = [{"stream": ROWS.stream}, {"stream": SCALARS.stream}]
    with ModelServer(folder / "server", published, streams) as running:
        running.start_serving()
        posts = {case: open_inference(case) for case in (JSON, BINARY)}
        yield Contender(OURS, running.process.pid, running.port, posts)


@contextmanager
def nginx(folder: Path) -> Iterator[Contender]:
    """An nginx with one worker, which answers every request by the same bytes."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        raise BenchmarkError("nginx is needed; on Debian: apt install nginx-light")
    port, home = free_port(), folder / "nginx"
    home.mkdir()
    answer = json.dumps({"model_name": ROWS.stream, "outputs": [{"name": "value", "data": [1]}]})
    config = home / "nginx.conf"
    config.write_text(
        f"""
        daemon off; master_process off; pid {home}/pid; error_log {home}/errors;
        events {{ worker_connections 256; }}
        http {{
          access_log off; client_body_temp_path {home}/bodies; keepalive_requests 100000000;
          server {{
            listen {HOST}:{port};
            location / {{ default_type application/json; return 200 '{answer}'; }}
          }}
        }}
        """
    )
    with Child("nginx", [found, "-p", os.fspath(home), "-c", os.fspath(config)]) as child:
        child.wait_until(lambda: _listens(port), _START_S)
        posts = {case: open_inference(case) for case in (JSON, BINARY)}
        yield Contender("nginx", child.pid, port, posts)


@contextmanager
def mlserver(folder: Path) -> Iterator[Contender]:
    """MLServer with the forest for single rows, in one process, without its metrics."""
    python = environment("mlserver", MLSERVER)
    home, port = folder / "mlserver", free_port()
    home.mkdir()
    shutil.copy(_PEERS / "mlserver_model.py", home)
    settings = {
        "host": HOST,
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
    }
    (home / "settings.json").write_text(json.dumps(settings))
    model = {"name": ROWS.stream, "implementation": "mlserver_model.Forest"}
    (home / "model-settings.json").write_text(json.dumps(model))
    command = [os.fspath(python.with_name("mlserver")), "start", os.fspath(home)]
    graph = {"GRAPH": os.fspath(folder / GRAPH), **_ONE_THREAD}
    with Child("MLServer", command, home / "log", folder=home, environment=graph) as child:
        child.wait_until(lambda: _listens(port), _START_S)
        yield Contender("MLServer", child.pid, port, {JSON: open_inference(JSON)})


@contextmanager
def mlflow_scoring(folder: Path) -> Iterator[Contender]:
    """MLflow's scoring server with the forest for single rows, with one worker."""
    python = environment("mlflow", MLFLOW)
    home, port = folder / "mlflow", free_port()
    home.mkdir()
    model = home / "model"
    script = os.fspath(_PEERS / "mlflow_model.py")
    run([os.fspath(python), script, os.fspath(folder / GRAPH), os.fspath(model)], _START_S)
    command = [os.fspath(python.with_name("mlflow")), "models", "serve", "--env-manager", "local"]
    command += ["--model-uri", os.fspath(model), "--host", HOST, "--port", str(port)]
    quiet = {"UVICORN_ACCESS_LOG": "false"}  # else it writes a line for each request
    path = {"PATH": f"{python.parent}:{os.environ['PATH']}", **_ONE_THREAD, **quiet}
    with Child("MLflow", command, home / "log", folder=home, environment=path) as child:
        child.wait_until(lambda: _listens(port), _START_S)
        yield Contender("MLflow", child.pid, port, {JSON: mlflow(JSON)})


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex((HOST, port)) == 0

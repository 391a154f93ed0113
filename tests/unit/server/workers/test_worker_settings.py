"""A worker gets the settings of its parent whole, whatever stands in the file by then."""

import json
from pathlib import Path

from server.settings import Settings


def test_settings_survive_the_way_to_a_worker(tmp_path: Path) -> None:
    given = Settings(
        server={"host": "0.0.0.0", "port": 8471, "state_dir": tmp_path, "workers": 3},  # noqa: S104  nothing listens
        registry={"url": "https://models.example/registry", "root": "/etc/root.json"},
        streams=[{"stream": "mass", "seq": 3, "versions": 2}, {"stream": "weight"}],
        access={
            "tokens_file": "/etc/tokens",
            "hosts": ["gw.example"],
            "cert_file": "/etc/server.crt",
            "key_file": "/etc/server.key",
            "client_ca_file": "/etc/clients.crt",
            "certificate_scopes": ["read"],
        },
        limits={"client_s": 1.5, "max_batch": 7},
        inference={"device": "cuda:1", "fallback": "cpu"},
    )
    sent = json.dumps(given.model_dump(mode="json"))
    assert Settings(**json.loads(sent)) == given

"""Which scope a path needs; a path that nobody has thought of is closed."""

import pytest

from server.access.scopes import needed

NEEDED = [
    ("GET", "/v2/health/live", None),
    ("GET", "/v2/health/ready", None),
    ("GET", "/ping", None),
    ("GET", "/console", None),
    ("GET", "/console/static/{digest}/app.js", None),
    ("POST", "/console/session", None),
    ("GET", "/console/api/plant", "read"),
    ("POST", "/v2/models/{model}/infer", "infer"),
    ("POST", "/v2/models/{model}/versions/{version}/infer", "infer"),
    ("POST", "/v1/streams/{stream}/predict", "infer"),
    ("POST", "/invocations", "infer"),
    ("GET", "/v2/models/{model}", "read"),
    ("HEAD", "/metrics", "read"),
    ("POST", "/v2/repository/index", "read"),
    ("POST", "/v2/repository/models/{model}/load", "admin"),
    ("POST", "/what/nobody/has/thought/of", "admin"),
    ("DELETE", "/v2/models/{model}", "admin"),
]


@pytest.mark.parametrize(("method", "pattern", "scope"), NEEDED)
def test_path_needs_its_scope(method: str, pattern: str, scope: str | None) -> None:
    assert needed(method, pattern) == scope

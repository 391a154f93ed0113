"""A path leads to one handler, or to a sentence that says what there is."""

import pytest

from server.http.answer import Answer
from server.http.refusals import MethodError, NotFoundError
from server.http.request import Request
from server.http.routes import Routes


async def reads(_: Request) -> Answer:
    return Answer(200, b"")


async def writes(_: Request) -> Answer:
    return Answer(200, b"")


ROUTES = Routes(
    (
        ("GET", "/", reads),
        ("GET", "/v2", reads),
        ("GET", "/v2/models/stats", reads),
        ("GET", "/v2/models/{model}", reads),
        ("POST", "/v2/models/{model}", writes),
        ("POST", "/v2/models/{model}/versions/{version}/infer", writes),
    )
)


@pytest.mark.parametrize(
    ("path", "pattern", "names"),
    [
        (b"/", "/", {}),
        (b"/v2", "/v2", {}),
        (b"/v2/", "/v2", {}),
        (b"/v2/models/stats", "/v2/models/stats", {}),
        (b"/v2/models/mass", "/v2/models/{model}", {"model": "mass"}),
        (b"/v2/models/l1%2Fpump%207", "/v2/models/{model}", {"model": "l1/pump 7"}),
        (b"/v2/models/%C3%A9", "/v2/models/{model}", {"model": "é"}),
        (b"/v2/models/%ff%zz", "/v2/models/{model}", {"model": "\ufffd%zz"}),
        (
            b"/v2/models/a/versions/1/infer",
            "/v2/models/{model}/versions/{version}/infer",
            {"model": "a", "version": "1"},
        ),
    ],
)
def test_path_is_taken_apart_before_it_is_decoded(
    path: bytes, pattern: str, names: dict[str, str]
) -> None:
    for _ in range(2):  # found, and remembered
        route = ROUTES.find(path)
        assert (route.pattern, dict(route.names)) == (pattern, names)


@pytest.mark.parametrize(
    "path",
    [b"", b"*", b"/v3", b"/V2", b"/v2/models", b"/v2/models/", b"/v2/models//", b"/v2/x",
     b"/v2/models/a/versions//infer", b"/v2/models/a/b", b"/%76%32", b"/v2/../v2", b"/v2\0"],
    ids=lambda path: path.replace(b"\0", b"NUL").decode() or "nothing",
)  # fmt: skip
def test_path_that_is_not_there_is_refused_by_name(path: bytes) -> None:
    with pytest.raises(NotFoundError, match="there is nothing at '"):
        ROUTES.find(path)


def test_path_that_is_long_is_not_repeated_whole() -> None:
    with pytest.raises(NotFoundError) as caught:
        ROUTES.find(b"/" + b"x" * 10_000)
    assert len(str(caught.value)) < 200


def test_method_that_is_not_there_is_told_those_that_are() -> None:
    route = ROUTES.find(b"/v2/models/mass")
    with pytest.raises(MethodError, match=r"PUT is not allowed on /v2/models/\{model\}") as caught:
        ROUTES.handler(route, "PUT")
    assert caught.value.headers == ((b"allow", b"GET, HEAD, POST"),)
    with pytest.raises(MethodError, match="allowed is POST"):
        ROUTES.handler(ROUTES.find(b"/v2/models/a/versions/1/infer"), "GET")


def test_get_answers_head_and_nothing_else() -> None:
    route = ROUTES.find(b"/v2/models/mass")
    assert ROUTES.handler(route, "GET") is reads
    assert ROUTES.handler(route, "HEAD") is reads
    assert ROUTES.handler(route, "POST") is writes


def test_many_names_are_all_found() -> None:
    for number in range(3000):
        route = ROUTES.find(b"/v2/models/pump%d" % number)
        assert route.names == {"model": f"pump{number}"}

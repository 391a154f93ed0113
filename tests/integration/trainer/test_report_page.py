"""The report in a browser: nothing is asked for, nothing goes wrong, and it fits any screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.browser import Browser, browser
from tests.kit.recordings import pump_folder, pump_rows, write_csv, write_recipe
from trainer.commands.train import train
from trainer.console import Console
from trainer.recipe.document import read_recipe

NAMED = {"task": "classification", "column": "label", "classes": {"0": "healthy", "1": "clogged"}}


def pumps(folder: Path) -> Path:
    lines = [(asset, *row[:3]) for asset in range(8) for row in pump_rows(150, seed=asset)]
    write_csv(folder / "pumps.csv", ["pump", "time", "pressure", "flow"], lines)
    return write_recipe(
        folder,
        data={"asset_column": "pump"},
        target={"task": "regression", "remaining": "s", "unit": "s"},
        split={"method": "group"},
    )


RECIPES = {
    "classes": lambda folder: pump_folder(folder, target=NAMED),
    "anomaly": lambda folder: pump_folder(
        folder, target={"task": "anomaly", "column": "label", "normal": 0}
    ),
    "remaining": pumps,
}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module", params=RECIPES)
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on disk, as it is in a bundle."""
    folder = tmp_path_factory.mktemp(request.param)
    recipe = read_recipe(RECIPES[request.param](folder))
    path = folder / "report.html"
    path.write_bytes(train(recipe, folder / "out", console=Console()).bundle.report)
    return path


@pytest.mark.parametrize("width", [400, 1400])
def test_page_opens_from_disk_asks_for_nothing_and_fits(
    chromium: Browser, report: Path, width: int
) -> None:
    chromium.requests.clear()
    chromium.complaints.clear()
    chromium.open(report.as_uri(), width)
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.evaluate("document.querySelectorAll('figure svg').length") >= 4
    smallest = "Math.min(...[...document.querySelectorAll('svg')].map(s => s.clientWidth))"
    assert chromium.evaluate(smallest) >= 250
    assert chromium.requests == [report.as_uri()]
    assert chromium.complaints == []


def test_browser_tells_of_a_page_that_misbehaves(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text("<meta charset='utf-8'><img src='missing.png'><script>nothing()</script>")
    chromium.requests.clear()
    chromium.complaints.clear()
    chromium.open(path.as_uri(), 400)
    assert chromium.requests == [path.as_uri(), (tmp_path / "missing.png").as_uri()]
    assert "nothing is not defined" in "".join(chromium.complaints)


def test_policy_of_the_page_stops_what_was_put_in(
    chromium: Browser, report: Path, tmp_path: Path
) -> None:
    path = tmp_path / "changed.html"
    bad = "<img src='missing.png'><script>document.title = 'run'</script></body>"
    path.write_text(report.read_text().replace("</body>", bad))
    chromium.requests.clear()
    chromium.complaints.clear()
    chromium.open(path.as_uri(), 400)
    assert chromium.evaluate("document.title") != "run"
    assert "Content Security Policy" in "".join(chromium.complaints)

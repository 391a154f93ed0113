"""The unit is clean and sandboxed, and the guide that installs it is short."""

import configparser
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from serving.errors import EXIT_CONFIG

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "millhand-agent.service"
DROP_IN = ROOT / "systemd" / "millhand-agent.service.d" / "20-network.conf"
COMMAND = "/opt/millhand/current/bin/millhand-agent"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit, naming a program that exists here too."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(COMMAND, "/bin/true"))
    return copy


def test_unit_verifies_without_a_remark(installed: Path) -> None:
    assert analyze("verify", installed) == ""


def test_exposure_is_at_most_1_1(installed: Path) -> None:
    assert exposure(installed) <= 1.1


def test_network_drop_in_verifies_and_lowers_the_exposure(installed: Path) -> None:
    without = exposure(installed)
    folder = installed.with_name(DROP_IN.parent.name)
    folder.mkdir()
    (folder / DROP_IN.name).write_text(DROP_IN.read_text())
    assert analyze("verify", installed) == ""
    assert exposure(installed) < without


def test_wrong_configuration_is_not_started_again() -> None:
    assert service()["RestartPreventExitStatus"] == str(EXIT_CONFIG)


def test_unit_starts_the_console_script_of_the_distribution() -> None:
    program, command = service()["ExecStart"].split()[:2]
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert program == COMMAND
    assert Path(program).name in scripts
    assert command == "run"


def test_guide_installs_the_agent_in_under_ten_lines() -> None:
    guide = (ROOT / "docs" / "install.md").read_text()
    block = re.search(r"```sh\n(.*?)```", guide, re.DOTALL)
    assert block is not None
    lines = block[1].splitlines()
    assert len(lines) < 10
    assert sum(COMMAND in line or "systemctl enable" in line for line in lines) == 2


def analyze(verb: str, unit: Path) -> str:
    options = {
        "verify": ["--man=no", "--recursive-errors=no"],
        "security": ["--offline=true", "--threshold=11", "--no-pager"],
    }
    answer = subprocess.run(
        ["/usr/bin/systemd-analyze", verb, *options[verb], str(unit)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
    return answer.stdout


def exposure(unit: Path) -> float:
    report = analyze("security", unit)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert level is not None, report
    return float(level[1])


def service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys of a unit have case
    unit.read(UNIT)
    return unit["Service"]

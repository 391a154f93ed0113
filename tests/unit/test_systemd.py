"""The units are clean and sandboxed, and the guide that installs the agent is short."""

import configparser
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from server.retraining.settings import Retraining
from serving.errors import EXIT_CONFIG

ROOT = Path(__file__).parents[2]
PROGRAMS = ("millhand-agent", "millhand-server")
DROP_IN = ROOT / "systemd" / "millhand-agent.service.d" / "20-network.conf"
BIN = "/opt/millhand/current/bin"


def unit_of(program: str) -> Path:
    return ROOT / "systemd" / f"{program}.service"


def installed(program: str, folder: Path) -> Path:
    """The unit of a program, naming a command that exists here too."""
    copy = folder / unit_of(program).name
    copy.write_text(unit_of(program).read_text().replace(f"{BIN}/{program}", "/bin/true"))
    return copy


@pytest.mark.parametrize("program", PROGRAMS)
def test_unit_verifies_without_a_remark(program: str, tmp_path: Path) -> None:
    assert analyze("verify", installed(program, tmp_path)) == ""


@pytest.mark.parametrize("program", PROGRAMS)
def test_exposure_is_at_most_1_1(program: str, tmp_path: Path) -> None:
    assert exposure(installed(program, tmp_path)) <= 1.1


def test_network_drop_in_verifies_and_lowers_the_exposure(tmp_path: Path) -> None:
    unit = installed("millhand-agent", tmp_path)
    without = exposure(unit)
    folder = unit.with_name(DROP_IN.parent.name)
    folder.mkdir()
    (folder / DROP_IN.name).write_text(DROP_IN.read_text())
    assert analyze("verify", unit) == ""
    assert exposure(unit) < without


def test_textfile_drop_in_verifies_and_opens_one_folder(tmp_path: Path) -> None:
    unit = installed("millhand-agent", tmp_path)
    folder = unit.with_name(DROP_IN.parent.name)
    folder.mkdir()
    text = DROP_IN.with_name("30-textfile.conf").read_text()
    (folder / "30-textfile.conf").write_text(text)
    assert analyze("verify", unit) == ""
    assert exposure(unit) <= 1.2
    opened = re.findall("^ReadWritePaths=(.*)$", text, re.MULTILINE)
    example = (ROOT / "config" / "agent.toml").read_text()
    assert [one for one in opened if f'textfile = "{one}/' in example] == opened != []


def test_retraining_drop_in_verifies_and_has_room_for_what_the_settings_allow(
    tmp_path: Path,
) -> None:
    unit = installed("millhand-server", tmp_path)
    folder = unit.with_name("millhand-server.service.d")
    folder.mkdir()
    text = (ROOT / "systemd" / folder.name / "30-retraining.conf").read_text()
    (folder / "30-retraining.conf").write_text(text)
    room = {
        name: int(most) << 30 for name, most in re.findall(r"^(\w+)=(\d+)G$", text, re.MULTILINE)
    }
    allowed = Retraining.model_fields["memory_bytes"].default
    assert analyze("verify", unit) == ""
    assert room["LimitDATA"] == room["MemoryMax"] == allowed > room["MemoryHigh"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_wrong_configuration_is_not_started_again(program: str) -> None:
    assert service(program)["RestartPreventExitStatus"] == str(EXIT_CONFIG)


@pytest.mark.parametrize("program", PROGRAMS)
def test_unit_starts_the_console_script_of_the_distribution(program: str) -> None:
    path, command = service(program)["ExecStart"].split()[:2]
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert path == f"{BIN}/{program}"
    assert program in scripts
    assert command == "run"


def test_agent_comes_before_the_server_where_both_want_the_processor() -> None:
    weights = [int(service(program).get("CPUWeight", "100")) for program in PROGRAMS]
    assert weights[1] < weights[0]


def test_guide_installs_the_agent_in_under_ten_lines() -> None:
    guide = (ROOT / "docs" / "install.md").read_text()
    block = re.search(r"```sh\n(.*?)```", guide, re.DOTALL)
    assert block is not None
    lines = block[1].splitlines()
    assert len(lines) < 10
    assert sum(f"{BIN}/millhand-agent" in line or "systemctl enable" in line for line in lines) == 2


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


def service(program: str) -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys of a unit have case
    unit.read(unit_of(program))
    return unit["Service"]

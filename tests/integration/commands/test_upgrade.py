"""docs/install.md, done as it says: an upgrade that is cut off leaves a gateway that starts.

The commands are those of the guide, in other folders. Only what would need a network or systemd is
a stand-in: pip takes the packages that are installed here, and systemctl does nothing.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.broker.brokers import free_port
from tests.kit.children import ROOT
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.plant import MASS, MASS_PIPELINE

GUIDE = (ROOT / "docs" / "install.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
(UPGRADE,) = (block for block in BLOCKS if block.startswith("sh -e"))
(BACK,) = (block for block in BLOCKS if "EARLIER" in block)
STEPS = UPGRADE.splitlines()[1:-1]
STAND_IN = """\
#!{python}
import os, pathlib, signal, sys
sys.path.insert(0, {root!r})
import venv
from tests.kit.environments import add_command, add_package, locked_packages

words, program = sys.argv[1:], pathlib.Path(sys.argv[0])
if program.name == "python3":
    folder = pathlib.Path(words[-1])
    venv.create(folder, symlinks=True)
    (folder / "bin" / "pip").symlink_to(program)
elif program.name == "pip" and "-r" in words:
    for number, name in enumerate(locked_packages()):
        if str(number) == os.environ.get("CUT_AT_PACKAGE"):
            os.kill(os.getppid(), signal.SIGKILL)
            sys.exit(1)
        add_package(program.parents[1], name)
elif program.name == "pip":
    add_package(program.parents[1], "millhand")
    add_command(program.parents[1])
"""


class Machine:
    """A gateway whose folders are below one of its own.

    Args:
        root: that folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.releases, self.etc, self.programs = root / "opt", root / "etc", root / "bin"
        for folder in (self.releases, self.etc, self.programs):
            folder.mkdir()
        stand_in = STAND_IN.format(python=sys.executable, root=str(ROOT))
        for name in ("python3", "systemctl", "sync"):
            (self.programs / name).write_text(stand_in)
            (self.programs / name).chmod(0o755)
        self.gateway = Gateway(root / "gw", free_port(), [MASS_PIPELINE])
        self.gateway.keep(MASS)
        self.gateway.write_config()

    def run(self, script: str, *, cut_at: int = -1, **environment: str) -> int:
        """Run commands of the guide; the shell is killed before that of this number."""
        script = script.replace("/opt/millhand", str(self.releases))
        script = script.replace("/etc/systemd/system", str(self.etc))
        script = script.replace("/etc/millhand/agent.toml", str(self.gateway.config))
        trap = "n=0; trap 'test $n -ne \"$CUT_AT\" || kill -9 $$; n=$((n+1))' DEBUG\n"
        done = subprocess.run(
            ["/bin/bash", "-e", "-c", trap + script],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{self.programs}:{os.environ['PATH']}",
                "CUT_AT": str(cut_at),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.said = done.stdout + done.stderr
        return done.returncode

    @property
    def serving(self) -> str:
        """The release that the service would start."""
        return (self.releases / "current").resolve().name

    def assert_starts(self) -> None:
        """Start what the unit starts, and read the unit that systemd would read."""
        assert (self.etc / "millhand-agent.service").read_text() in (OLD_UNIT, NEW_UNIT)
        program = self.releases / "current" / "bin" / "millhand-agent"
        checked = subprocess.run(
            [program, "check", "--config", self.gateway.config],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


OLD_UNIT = "[Service]\n# of the release before\n"
NEW_UNIT = (ROOT / "systemd" / "millhand-agent.service").read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A gateway with a release that was installed as the guide says."""
    machine = Machine(tmp_path)
    first = BLOCKS[0].splitlines()
    wanted = [line for line in first if "/opt/millhand/" in line and "check" not in line]
    assert machine.run("\n".join(wanted)) == 0, machine.said
    (machine.etc / "millhand-agent.service").write_text(OLD_UNIT)
    assert machine.serving == "first"
    machine.assert_starts()
    return machine


def test_upgrade_switches_to_the_new_release_and_back(machine: Machine) -> None:
    assert machine.run("\n".join(STEPS)) == 0, machine.said
    assert machine.serving != "first"
    assert (machine.etc / "millhand-agent.service").read_text() == NEW_UNIT
    machine.assert_starts()
    assert machine.run(BACK.replace("EARLIER", "first")) == 0, machine.said
    assert machine.serving == "first"
    machine.assert_starts()


def test_upgrade_that_is_cut_off_leaves_a_gateway_that_starts(machine: Machine) -> None:
    switched = STEPS.index(next(step for step in STEPS if "/current" in step))
    for cut_at in range(len(STEPS)):
        before = machine.serving
        assert machine.run("\n".join(STEPS), cut_at=cut_at) == -9
        assert (machine.serving != before) == (cut_at > switched)
        machine.assert_starts()


def test_upgrade_that_is_cut_off_within_pip_leaves_a_gateway_that_starts(machine: Machine) -> None:
    assert machine.run("\n".join(STEPS), CUT_AT_PACKAGE="5") == -9
    assert machine.serving == "first"
    machine.assert_starts()


def test_release_that_cannot_start_is_not_switched_to(machine: Machine) -> None:
    broken = [
        line.replace("-r requirements/agent.txt", "nothing") if "-r req" in line else line
        for line in STEPS
    ]
    assert machine.run("\n".join(broken)) > 0
    assert machine.serving == "first"
    machine.assert_starts()

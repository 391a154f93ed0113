"""The command `millhand-agent`: runs it, and explains an installation that is not whole.

0   the command succeeded          75  another agent uses the state folder; try again later
1   `check` has found a fault      78  a person has to correct the configuration, the installation
70  a bug, with a traceback            or the machine; systemd does not restart the service

Up to `main` only the standard library is imported, so that whatever else is missing is reported.
"""

import sys
import traceback
from collections.abc import Sequence

from serving.errors import EXIT_BUG, EXIT_CONFIG
from serving.program import installation, standard_error
from serving.program.start import starting


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    with starting():
        try:
            from agent.cli.commands import run  # noqa: PLC0415  what it imports may be missing

            return run(arguments)
        except Exception as exc:  # noqa: BLE001  the top of the process: a bug ends it, systemd restarts it
            if explanation := installation.explanation(exc):
                standard_error.report(explanation)
                return EXIT_CONFIG
            standard_error.report(traceback.format_exc())
            return EXIT_BUG


if __name__ == "__main__":
    sys.exit(main())

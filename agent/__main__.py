"""The command `millhand-agent`: runs it, and explains an installation that is not whole.

0   the command succeeded          75  another agent uses the state folder; try again later
1   `check` has found a fault      78  a person has to correct the configuration, the installation
70  a bug, with a traceback            or the machine; systemd does not restart the service

Up to `main` only the standard library is imported, so that whatever else is missing is reported.
"""

import sys

from serving.program import early_signals


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    early_signals.settle()
    from serving.program.start import starting  # noqa: PLC0415  a signal may come meanwhile

    with starting():
        from serving.program import fault  # noqa: PLC0415  now: at a fault there may be no memory

        try:
            from agent.cli.commands import run  # noqa: PLC0415  what it imports may be missing

            return run(arguments)
        except Exception as exc:  # noqa: BLE001  the top of the process: a bug ends it, systemd restarts it
            return fault.report(exc)


if __name__ == "__main__":
    sys.exit(main())

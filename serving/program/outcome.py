"""What a command tells its caller: an exit code, and a sentence where it cannot do its work."""

from collections.abc import Callable

from models.printable import printable
from serving.errors import EXIT_CONFIG, EXIT_LATER, ConfigError, TransientError
from serving.program import early_signals, standard_error

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the number of SIGINT."""


def exit_code(command: Callable[[], int]) -> int:
    """Run a command and return its exit code.

    Errors that nobody expects are raised: they are bugs, or the installation is broken.
    """
    early_signals.interrupt()
    try:
        return command()
    except ConfigError as exc:
        standard_error.report(printable(str(exc)))
        return EXIT_CONFIG
    except TransientError as exc:
        standard_error.report(printable(str(exc)))
        return EXIT_LATER
    except KeyboardInterrupt:
        return INTERRUPTED

"""What ends a program against its will, written to standard error.

Only the standard library is imported here, so that a broken installation can be reported.
"""

import traceback

from serving.errors import EXIT_BUG, EXIT_CONFIG
from serving.program import installation, standard_error


def report(exc: Exception, extra: str = "") -> int:
    """Write why a program ends, and return its exit code.

    Args:
        exc: what nothing in the program has handled.
        extra: the extra of the distribution that the program needs, empty without one.

    Returns:
        `EXIT_CONFIG` where the installation or the machine is at fault, in words; `EXIT_BUG` for a
        bug, with its traceback.
    """
    if explanation := installation.explanation(exc, extra=extra):
        standard_error.report(explanation)
        return EXIT_CONFIG
    standard_error.report(traceback.format_exc())
    return EXIT_BUG

"""Libraries that only some recordings need, and that are installed as extras of millhand."""

import importlib
from types import ModuleType

from trainer.errors import DataError


def library(module: str, extra: str, name: str) -> ModuleType:
    """Import a library that belongs to an extra.

    Args:
        module: the name that it is imported by.
        extra: the extra of millhand that it belongs to.
        name: the file or the key that needs it, for the message.

    Raises:
        DataError: it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise DataError(
            f"{name}: cannot be read, because {module} is not installed; it comes with the extra "
            f"[{extra}]: pip install 'millhand[trainer,{extra}]'"
        ) from exc

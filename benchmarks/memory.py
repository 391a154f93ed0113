"""How much memory a process costs the machine."""

from pathlib import Path


def pss_bytes(pid: int) -> int:
    """Return the proportional set size of a process; 0 once it has ended.

    Pages shared with other processes count by their share. The benchmark's own process imports
    neither NumPy nor onnxruntime, so that it does not make a contender look smaller.
    """
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(
        (int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0
    )

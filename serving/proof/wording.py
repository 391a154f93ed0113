"""Words that the messages of both processes of a proof share."""

from typing import Final

OUT_OF_MEMORY: Final = ("bad_alloc", "MemoryError", "Failed to allocate memory")
"""By one of these, messages of C++, Python and onnxruntime say that there was no memory."""
REMEDY: Final = (
    "raise that limit (on a gateway proof.memory_bytes), or have fewer windows answered at a time "
    "(on a gateway limits.max_batch)"
)


def megabytes(count: float) -> str:
    """Bytes for people, in megabytes of 10**6 bytes with three digits: `268 MB`."""
    return f"{count / 1e6:.3g} MB"

"""A bundle whose report stays with its publisher.

A bundle has exactly the members that every agent expects, so the report is not left out but
replaced by a page of two sentences, which has the digest of the report. The manifest differs in
that member only; the graph, the golden vectors and the reference are the same bytes. The bundle has
a digest of its own, of course: it is the one that is signed, served and shown everywhere.
"""

import hashlib

from models.bundle.manifest import utc
from models.bundle.package import Bundle, pack_bundle
from models.bundle.withheld import HEAD

_PAGE = """<p>The report of {stream} #{seq}, created {created}, stays with its publisher.</p>
<p>SHA-256 of the report: <code>{sha256}</code></p>
</html>
"""


def without_report(bundle: Bundle) -> Bundle:
    """The same bundle with a page in place of its report.

    Raises:
        BundleError: see `models.bundle.package.pack_bundle`.
    """
    manifest = bundle.manifest
    page = HEAD + _PAGE.format(
        stream=manifest.stream,
        seq=manifest.seq,
        created=utc(manifest.created),
        sha256=hashlib.sha256(bundle.report).hexdigest(),
    )
    members = {
        "model.onnx": bundle.model,
        "golden.npz": bundle.golden,
        "reference.json": bundle.reference,
        "report.html": page.encode(),
    }
    return pack_bundle(manifest, members)

"""`[metrics]`: the text file by which Prometheus reads a gateway that listens on no port."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from models.settings import Seconds, Section


def _readable(path: Path) -> Path:
    if not path.is_absolute() or path.suffix != ".prom":
        raise ValueError(
            f"'{path}' must be an absolute path that ends with .prom, as in "
            "/var/lib/prometheus/node-exporter/millhand.prom: node_exporter reads no other files"
        )
    return path


class Metrics(Section):
    """The text file of metrics, for the textfile collector of node_exporter.

    Attributes:
        textfile: file that the metrics are written to; None writes none. Its folder must be there.
        textfile_s: seconds after which it is written again.
    """

    textfile: Annotated[Path, AfterValidator(_readable)] | None = Field(
        None, description="a file of node_exporter's folder, which ends with .prom; default: none"
    )
    textfile_s: Seconds = 30.0

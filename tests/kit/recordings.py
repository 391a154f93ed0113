"""Small files of recorded plant data, and recipes for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w
from numpy.typing import NDArray

from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe, read_recipe

Row = Sequence[object]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Row], separator: str = ",") -> Path:
    """Write a CSV file as a historian would."""
    lines = [separator.join(header), *(separator.join(map(str, row)) for row in rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_parquet(path: Path, **columns: object) -> Path:
    """Write a Parquet file."""
    pq.write_table(pa.table(columns), path)
    return path


def document(**sections: object) -> dict[str, Any]:
    """A complete recipe of two signals and a label; `sections` are merged over it.

    A key with the value None is left out; target and split are replaced as a whole.
    """
    base: dict[str, Any] = {
        "bundle": {"stream": "pump-health"},
        "data": {"files": ["*.csv"], "time": {"column": "time"}},
        "signals": [{"name": "pressure", "unit": "bar"}, {"name": "flow"}],
        "window": {"length": 4},
        "target": {"task": "classification", "column": "label"},
        "split": {"method": "time", "test": 0.25},
    }
    for name, section in sections.items():
        if isinstance(section, Mapping) and name not in ("target", "split"):
            merged = {**base.get(name, {}), **section}
            base[name] = {key: value for key, value in merged.items() if value is not None}
        else:
            base[name] = section
    return base


def write_recipe(folder: Path, **sections: object) -> Path:
    """Write the recipe `document(**sections)` into a folder, and return its path."""
    path = folder / "recipe.toml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(tomli_w.dumps(document(**sections)))
    return path


def recipe(folder: Path, **sections: object) -> Recipe:
    """Write a recipe, and read it as the trainer does."""
    return read_recipe(write_recipe(folder, **sections))


def pump_rows(count: int, *, seed: int = 0) -> list[Row]:
    """Rows of time, pressure, flow and label; in every fifth minute the flow falls, label 1."""
    drawn = np.random.default_rng(seed)
    faulty = np.arange(count) // 60 % 5 == 4
    pressure = drawn.normal(4.0, 0.1, count)
    flow = drawn.normal(30.0, 1.0, count) - 8.0 * faulty
    stamps = np.datetime64("2025-03-01T00:00:00") + np.arange(count).astype("timedelta64[s]")
    return [
        (f"{stamp}Z", f"{p:.4f}", f"{f:.4f}", int(bad))
        for stamp, p, f, bad in zip(stamps, pressure, flow, faulty, strict=True)
    ]


def pump_folder(folder: Path, count: int = 1200, **sections: object) -> Path:
    """Write `pump.csv` and a recipe for it into a folder, and return the recipe's path."""
    write_csv(folder / "pump.csv", ["time", "pressure", "flow", "label"], pump_rows(count))
    return write_recipe(folder, **sections)


def recorded(
    values: NDArray[np.float64],
    *,
    asset: NDArray[np.int64] | None = None,
    labels: object = None,
    step_s: float = 1.0,
) -> Recording:
    """A recording of two signals and a column "label"; rows of an asset are `step_s` apart."""
    rows = len(values)
    asset = np.zeros(rows, dtype=np.int64) if asset is None else asset
    made = Recording(
        channels=("pressure", "flow"),
        assets=tuple(f"p{index}" for index in range(int(asset.max()) + 1)),
        asset=asset,
        times_ns=np.arange(rows, dtype=np.int64),
        timed=True,
        values=values,
        files=("a.csv",),
        file=np.zeros(rows, dtype=np.int64),
        line=np.arange(rows) + 2,
    )
    times = (made.rank() * step_s * 10**9).astype(np.int64)
    order = np.argsort(times, kind="stable")
    found = {} if labels is None else {"label": np.asarray(labels)}
    is_text = all(column.dtype == object for column in found.values())
    texts, numbers = (found, {}) if is_text else ({}, found)
    return replace(made, times_ns=times, texts=texts, numbers=numbers).take(order)

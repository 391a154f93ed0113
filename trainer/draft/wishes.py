"""What the person who asks for a draft has said beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Wanted = Literal["classification", "regression", "anomaly", "remaining-life"]
Method = Literal["time", "group", "stratified", "random"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of the command.

    Attributes:
        target: the column to predict; None takes one whose name says so, or none.
        task: the task; None derives it from the target.
        method: the method of the split; None derives it from the data.
        test_files: names or patterns of the files that are the test part.
        train_rows: number of first rows of each asset to train on; None for a share.
        left: tables of the remaining life at the last row, by the name of the data file.
        cap: longest remaining life to learn; None takes one from the length of the runs.
    """

    target: str | None = None
    task: Wanted | None = None
    method: Method | None = None
    test_files: tuple[str, ...] = ()
    train_rows: int | None = None
    left: Mapping[str, str] = field(default_factory=dict)
    cap: float | None = None

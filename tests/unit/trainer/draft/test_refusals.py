"""What a draft cannot be made of: which, why, what to do, and that nothing is written then."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.kit.waiting import eventually
from tests.kit.wording import names
from trainer.__main__ import main


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Two hundred rows of a pressure, a temperature, a constant and a state."""
    rng = np.random.default_rng(1)
    lines = ["pressure,temperature [°C],fixed,outcome"]
    lines += [
        f"{a:.3f},{b:.2f},1,{'ok' if a < 5.5 else 'worn'}"
        for a, b in zip(rng.normal(5, 0.5, 200), rng.normal(60, 3, 200), strict=True)
    ]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "rows.csv"


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> tuple[int, str]:
    """Exit code and message of a command that writes nothing."""
    before = sorted(path.name for path in folder.iterdir())
    code = main(["draft", *words, "--output", str(folder / "recipe.toml")])
    assert sorted(path.name for path in folder.iterdir()) == before
    return code, capsys.readouterr().err


def test_unknown_target_is_answered_with_the_names_that_come_near(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: Path
) -> None:
    code, said = refused(capsys, tmp_path, str(rows), "--target", "outcom")
    assert code == 2
    assert names(said, "--target outcom", "nearest is 'outcome'")


def test_numbers_that_are_no_classes_are_told_before_any_row_is_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: Path
) -> None:
    words = (str(rows), "--target", "pressure", "--task", "classification")
    code, said = refused(capsys, tmp_path, *words)
    assert code == 2
    assert names(said, "--task classification", "'pressure' has", "--task regression")


def test_target_of_one_value_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: Path
) -> None:
    code, said = refused(capsys, tmp_path, str(rows), "--target", "fixed")
    assert code == 65
    assert names(said, "fixed", "only '1'", "200 rows")


def test_few_rows_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: Path
) -> None:
    rows.write_text("\n".join(rows.read_text().splitlines()[:20]) + "\n")
    code, said = refused(capsys, tmp_path, str(rows))
    assert code == 65
    assert names(said, "19 rows", "50")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"PK\x03\x04workbook", "Excel", id="workbook"),
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"a,b\n", "no rows", id="header only"),
    ],
)
def test_file_that_is_no_table_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    (tmp_path / "odd.csv").write_bytes(content)
    code, message = refused(capsys, tmp_path, str(tmp_path / "odd.csv"))
    assert code == 65
    assert names(message, "odd.csv", said)


def test_file_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = refused(capsys, tmp_path, str(tmp_path / "absent.csv"))
    assert code == 65
    assert names(said, "absent.csv", "no such file")


def test_folder_is_answered_with_a_pattern(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = refused(capsys, tmp_path, str(tmp_path))
    assert code == 2
    assert names(said, "folder", "*.csv")


def test_files_without_a_column_in_common_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: Path
) -> None:
    (tmp_path / "other.csv").write_text("x;y\n" + "1;2\n" * 60)
    code, said = refused(capsys, tmp_path, str(rows), str(tmp_path / "other.csv"))
    assert code == 65
    assert names(said, "rows.csv", "other.csv", "in common")


def test_recipe_that_is_there_is_kept_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: Path
) -> None:
    (tmp_path / "recipe.toml").write_text("# mine\n")
    words = ["draft", str(rows), "--target", "outcome", "--output", str(tmp_path / "recipe.toml")]
    assert main(words) == 2
    assert names(capsys.readouterr().err, "recipe.toml", "--force")
    assert (tmp_path / "recipe.toml").read_text() == "# mine\n"
    assert main([*words, "--force"]) == 0
    assert "[[signals]]" in (tmp_path / "recipe.toml").read_text()


def test_remaining_life_of_a_single_asset_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: Path
) -> None:
    code, said = refused(capsys, tmp_path, str(rows), "--task", "remaining-life")
    assert code == 2
    assert names(said, "remaining-life", "several assets")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        pytest.param(["--split", "time"], "time axis", id="time without a time axis"),
        pytest.param(["--train-rows", "100"], "time axis", id="first rows without a time axis"),
        pytest.param(["--split", "group"], "several assets", id="group of one asset"),
    ],
)
def test_split_that_the_data_cannot_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: Path, option: list[str], said: str
) -> None:
    code, message = refused(capsys, tmp_path, str(rows), "--target", "outcome", *option)
    assert code == 2
    assert names(message, option[0], said)


def test_interrupted_draft_writes_nothing(tmp_path: Path, rows: Path) -> None:
    header, *lines = rows.read_text().splitlines()
    rows.write_text("\n".join([header, *(lines * 400)]) + "\n")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    words = ["draft", str(rows), "--target", "outcome", "--output", str(tmp_path / "recipe.toml")]
    child = subprocess.Popen(
        [sys.executable, "-m", "trainer", *words],
        env={**os.environ, "TMPDIR": str(temporary)},
        # A suite that was started in the background ignores SIGINT, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads
    )
    eventually(lambda: [*temporary.glob("millhand-draft-*")], 60, "the draft has begun to look")
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=60) == 130
    assert [*temporary.glob("millhand-draft-*")] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "temporary"]

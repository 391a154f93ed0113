"""Words and hours in dates that strptime does not read: months of other languages, and 24 o'clock.

Months are those of German, French, Spanish, Italian, Portuguese, Dutch, Polish, Danish, Norwegian
and Swedish, in full or shortened; a spelling stands for one month in all of these languages.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd

_SPELLINGS = (
    "jan januar january janvier janv enero ene gennaio gen janeiro januari styczen stycznia sty",
    "feb februar february fevrier fevr febrero febbraio fevereiro fev februari luty lutego lut",
    "mar marz mrz maerz march mars marzo marco maart mrt marzec marca",
    "apr april avril avr abril abr aprile kwiecien kwietnia kwi",
    "may mai mayo maggio mag maio mei maj maja",
    "jun juni june juin junio giugno giu junho czerwiec czerwca cze",
    "jul juli july juillet juil julio luglio lug julho lipiec lipca lip",
    "aug august aout agosto ago augustus augusti sierpien sierpnia sie",
    "sep sept september septembre septiembre settembre set setembro wrzesien wrzesnia wrz",
    "oct okt oktober october octobre octubre ottobre ott outubro out pazdziernik pazdziernika paz",
    "nov november novembre noviembre novembro listopad listopada lis",
    "dec dez dezember december decembre diciembre dic dicembre dezembro des grudzien grudnia gru",
)
MONTHS: Final[Mapping[str, int]] = {
    word: month for month, words in enumerate(_SPELLINGS, start=1) for word in words.split()
}
"""The number of the month, from 1, by its name in small letters without accents."""
_ENGLISH = {
    form: [datetime(2001, month, 1).strftime(form) for month in range(1, 13)]  # noqa: DTZ001  a name
    for form in ("%b", "%B")
}
_WORD = r"[^\W\d_]{3,}"
_MIDNIGHT = r"(?<=\d[ T_])24(?=:00(?::00(?:[.,]0+)?)?(?![\d:.,]))"


def in_english(text: "pd.Series[str]", form: str) -> "pd.Series[str]":
    """Write the names of months as the `%b` or `%B` of a format needs them; others stay."""
    name = next((name for name in _ENGLISH if name in form), None)
    if name is None:
        return text
    known = {word.casefold() for word in _ENGLISH[name]}

    def translated(found: re.Match[str]) -> str:
        month = MONTHS.get(_plain(found[0]))
        return found[0] if month is None else _ENGLISH[name][month - 1]

    foreign = [
        word
        for word in {*re.findall(_WORD, " ".join(text.unique()))}
        if _plain(word) in MONTHS and word.casefold() not in known | _english_words()
    ]
    return text.str.replace(_WORD, translated, regex=True) if foreign else text


def at_midnight(text: "pd.Series[str]") -> tuple["pd.Series[str]", "pd.Series[bool]"]:
    """Write 24 o'clock as 0 o'clock of the same date, and mark these rows: they are a day later."""
    late = text.str.contains("24:00", regex=False)
    if late.any():
        late &= text.str.contains(_MIDNIGHT)
        text = text.where(~late, text.str.replace(_MIDNIGHT, "00", regex=True))
    return text, late


def remedy_for_word(text: str) -> str | None:
    """What is wrong with the hour or with the name of the month in a date; None if neither is."""
    if hour := re.search(r"(?<=\d)[ T_]+(?P<hour>2[4-9]|[3-9]\d):\d\d", text):
        return (
            f"the hour is {hour['hour']}, allowed are 00 to 23, and 24:00 for 0 h of the next day; "
            "correct the row, or leave it out"
        )
    named = re.match(rf"\d{{1,2}}[-/. ](?P<month>{_WORD})[-/. ]\d\d", text)
    if named and _plain(named["month"]) not in MONTHS:
        return (
            f"'{named['month']}' is no month in a language that is known; export the month as a "
            "number, best ISO 8601"
        )
    return None


def _plain(word: str) -> str:
    """A word in small letters without accents."""
    split = unicodedata.normalize("NFKD", word.casefold())
    return "".join(sign for sign in split if not unicodedata.combining(sign))


def _english_words() -> set[str]:
    return {word.casefold() for words in _ENGLISH.values() for word in words}

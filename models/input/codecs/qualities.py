"""Qualities: the words and codes that plants use become good, uncertain or bad."""

from models.errors import DecodeError
from models.input.quality import Quality

# The quality bits of OPC Data Access, bits 7-6 of a byte; larger numbers are OPC UA StatusCodes.
_OPC_DA = {0xC0: Quality.GOOD, 0x40: Quality.UNCERTAIN, 0x00: Quality.BAD}
_OPC_DA_MAX = 0xFF
_SPARKPLUG_STALE = 500  # Sparkplug 3.0, property Quality: 0 bad, 192 good, 500 stale
_OPC_UA_MAX = 0xFFFF_FFFF
_OPC_UA_SEVERITY_SHIFT = 30


def to_quality(value: object) -> Quality:
    """A quality, from the words and codes that plants use.

    - Text: good, uncertain or bad, or a longer name that begins with one of them
      (`Good_Overload`).
    - A number up to 255 is an OPC DA quality; its top two bits count.
    - 500 is Sparkplug's stale.
    - A larger number is an OPC UA StatusCode, whose severity is bits 31-30 (OPC UA Part 4, 7.39).
    - Null, or no quality at all, is good, as in all of these.

    So 0 is the bad of OPC DA. The good of OPC UA is 0 as well, but its encodings leave a good
    status out of the message.

    Raises:
        DecodeError: `quality_unknown` for anything else.
    """
    if value is None:
        return Quality.GOOD
    if isinstance(value, str):
        word = value.strip().lower()
        for quality in Quality:
            if word.startswith(quality.name.lower()):
                return quality
    elif type(value) is int and value >= 0:
        if value <= _OPC_DA_MAX:
            return _OPC_DA.get(value & 0xC0, Quality.BAD)
        if value == _SPARKPLUG_STALE:
            return Quality.UNCERTAIN
        if value <= _OPC_UA_MAX:
            return Quality(min(value >> _OPC_UA_SEVERITY_SHIFT, Quality.BAD))
    raise DecodeError("quality_unknown")

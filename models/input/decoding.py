"""Which decoder reads the payloads of an input, by its settings; lists of tags have their own."""

from collections.abc import Sequence

from models.input.codecs.block import BlockDecoder, BlockDocumentDecoder, RawBlockDecoder
from models.input.codecs.json_row import JsonRowDecoder
from models.input.codecs.reading import Decoder, Fields
from models.input.codecs.scalar import BareDecoder, PlainDecoder, UmhDecoder, scalar_decoder
from models.input.codecs.thingsboard import ThingsBoardDecoder
from models.input.codecs.values import ValueReader, to_number
from models.input.source import Input
from models.input.topics import SIGNAL, TopicTemplate


def decoder_of(
    source: Input, paths: Sequence[str], readers: Sequence[ValueReader]
) -> Decoder | BlockDecoder:
    """The decoder of one topic of an input.

    Args:
        source: the input.
        paths: where the values of its signals stand in a payload, in the order of the values.
        readers: what reads the value of each signal; empty where the model uses none.
    """
    fields, parse = source.fields, source.parse
    if source.dialect == "block":
        return _block_decoder(source, paths, fields)
    if source.dialect == "json":
        return JsonRowDecoder(paths, fields, readers, parse)
    if source.dialect == "thingsboard":
        return ThingsBoardDecoder(paths, readers, parse)
    (read,) = readers or (to_number,)  # none: the model does not use the signal of the input
    if source.dialect == "umh":
        return UmhDecoder(read, parse)
    is_document = source.has_payload_names or source.value or source.timestamp
    if is_document or source.quality or source.sequence:
        return scalar_decoder(source.value, fields, read, parse)
    return BareDecoder(read, parse) if source.encoding else PlainDecoder(read)


def _block_decoder(source: Input, paths: Sequence[str], fields: Fields) -> BlockDecoder:
    assert source.encoding  # noqa: S101  the settings are checked
    is_per_signal = SIGNAL in TopicTemplate(source.topic).names
    width = 1 if is_per_signal else len(paths)
    is_bare = not (source.value or source.timestamp or source.quality or source.sequence)
    if source.encoding == "float32" or (is_bare and (is_per_signal or not source.signals)):
        return RawBlockDecoder(source.encoding, width, source.parse)
    if source.value or is_per_signal:
        paths = [source.value or "value"]
    return BlockDocumentDecoder(source.encoding, paths, width, fields, source.parse)

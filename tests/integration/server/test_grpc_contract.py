"""The messages of gRPC are those of Triton's client: name by name and number by number."""

import sys
from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from tritonclient.grpc import service_pb2

from tests.kit.children import run

SERVICE = "GRPCInferenceService"
# One process cannot import both: their messages have the same full names.
OURS = """
from server.rpc.open_inference_pb2 import DESCRIPTOR
print(DESCRIPTOR.serialized_pb.hex())
"""


def ours() -> FileDescriptorProto:
    printed = run([sys.executable, "-c", OURS], 60.0)
    return FileDescriptorProto.FromString(bytes.fromhex(printed))


def theirs() -> FileDescriptorProto:
    return FileDescriptorProto.FromString(service_pb2.DESCRIPTOR.serialized_pb)


def fields(file: FileDescriptorProto) -> dict[str, tuple[object, ...]]:
    """What decides how a field is written, by its full name."""
    return dict(_of(file.package, list(file.message_type)))


def _of(above: str, kinds: list[DescriptorProto]) -> Iterator[tuple[str, tuple[object, ...]]]:
    for kind in kinds:
        name = f"{above}.{kind.name}"
        for field in kind.field:
            choice = (
                kind.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
            )
            written = (field.number, field.type, field.type_name, field.label, choice)
            yield f"{name}.{field.name}", (*written, kind.options.map_entry)
        yield from _of(name, list(kind.nested_type))


def test_fields_have_the_names_numbers_and_types_of_the_client() -> None:
    found, known = fields(ours()), fields(theirs())
    assert {name: known.get(name) for name in found} == found
    assert len(found) > 50


def test_no_field_of_our_messages_is_missing() -> None:
    found, known = fields(ours()), fields(theirs())
    messages = {name.rpartition(".")[0] for name in found}
    assert {name for name in known if name.rpartition(".")[0] in messages} == set(found)


def test_calls_have_the_paths_and_messages_of_the_client() -> None:
    def calls(file: FileDescriptorProto) -> dict[str, tuple[str, str, bool, bool]]:
        service = next(one for one in file.service if one.name == SERVICE)
        return {
            one.name: (one.input_type, one.output_type, one.client_streaming, one.server_streaming)
            for one in service.method
        }

    found, known = calls(ours()), calls(theirs())
    assert {name: known[name] for name in found} == found
    assert ours().package == "inference"

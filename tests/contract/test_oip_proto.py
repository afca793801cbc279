"""Our file of the Open Inference Protocol, held against the one that Triton's client brings."""

from google.protobuf import descriptor_pb2, json_format

from service.rpc.inference import grpc_service_pb2 as pb
from tests.triton import drive


def test_names_and_numbers_are_the_protocols():
    """Every message, field, enum value and call of ours is there, with the same number and type."""
    ours = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(ours)
    mine, theirs = _facts([json_format.MessageToDict(ours)]), _facts(drive("descriptors"))
    assert len(mine) > 150
    different = {name: (fact, theirs.get(name)) for name, fact in mine.items() if theirs.get(name) != fact}
    assert not different


def _facts(files):
    found = {}
    for file in files:
        for service in file.get("service", []):
            for method in service["method"]:
                method.pop("options", None)
                found[service["name"], method.pop("name")] = method
        for enum in file.get("enumType", []):
            found |= {(enum["name"], value["name"]): value.get("number", 0) for value in enum["value"]}
        for message in file["messageType"]:
            found |= _message(message, ())
    return found


def _message(message, outer):
    name = (*outer, message["name"])
    found = {
        (*name, field["name"]): (field["number"], field["type"], field["label"], field.get("typeName"))
        for field in message.get("field", [])
    }
    for nested in message.get("nestedType", []):
        found |= _message(nested, name)
    return found

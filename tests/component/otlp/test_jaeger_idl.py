"""Our descriptors against Jaeger's own protocol files, where their Go module can be had."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from controlplane.binaries.building import cache_folder
from controlplane.binaries.progress import TerminalProgress
from controlplane.binaries.toolchain import NoToolchain, find_go
from kubeweft.otlp import jaeger_storage as api

MODULE = "github.com/jaegertracing/jaeger-idl@v0.14.0"
LEFT_OUT = {
    ("TraceQueryParameters", "filter"),
    *(
        (name, "")
        for name in ("SpanQueryParameters", "SpanSortOrder", "FindSpansRequest", "FindSpansResponse")
    ),
}
"""What Jaeger asks only of a storage that says it can: structured filters and searching spans."""
FIELD = re.compile(r"(repeated\s+)?([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*(?:\[[^\]]*\])?;")
RPC = re.compile(r"rpc (\w+)\((\w+)\) returns \((stream )?([\w.]+)\)")
Field = tuple[int, str, bool]


@pytest.fixture(scope="module")
def protos() -> str:
    """The text of the three files, without comments; skips where the module cannot be fetched."""
    try:
        go = find_go(cache_folder(), TerminalProgress())
        command = [str(go), "mod", "download", "-json", MODULE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True, cwd="/")
    except (NoToolchain, subprocess.SubprocessError) as missing:
        pytest.skip(f"{MODULE} cannot be fetched: {missing}")
    folder = Path(json.loads(done.stdout)["Dir"]) / "proto/storage/v2"
    texts = [file.read_text() for file in sorted(folder.glob("*.proto"))]
    assert len(texts) == 3
    return "\n".join(re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL) for text in texts)


def messages(text: str) -> Iterator[tuple[str, dict[str, Field]]]:
    """Every message with its fields: number, type, and whether it is repeated."""
    for name, body in re.findall(r"^message (\w+) \{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE):
        yield name, {field: (int(no), kind, bool(many)) for many, kind, field, no in FIELD.findall(body)}
    for name in re.findall(r"^message (\w+) \{\}", text, re.MULTILINE):
        yield name, {}


def ours() -> dict[str, dict[str, Field]]:
    file = descriptor_pb2.FileDescriptorProto()
    api.GetTracesRequest.DESCRIPTOR.file.CopyToProto(file)
    return {
        message.name: {
            field.name: (field.number, _type(field), field.label == field.LABEL_REPEATED)
            for field in message.field
        }
        for message in file.message_type
    }


def _type(field: descriptor_pb2.FieldDescriptorProto) -> str:
    if field.type_name:
        return str(field.type_name).removeprefix(".jaeger.storage.v2.").removeprefix(".")
    name: str = descriptor_pb2.FieldDescriptorProto.Type.Name(field.type)
    return name.removeprefix("TYPE_").lower()


def test_messages_are_jaegers(protos: str) -> None:
    theirs = dict(messages(protos))
    assert len(theirs) >= 30
    expected = {
        name: {field: told for field, told in fields.items() if (name, field) not in LEFT_OUT}
        for name, fields in theirs.items()
        if (name, "") not in LEFT_OUT
    }
    assert ours() == expected


def test_methods_are_jaegers(protos: str) -> None:
    theirs = {name: (asked, bool(stream), told) for name, asked, stream, told in RPC.findall(protos)}
    mine = {
        method.name: (
            method.request.DESCRIPTOR.name,
            method.streams,
            method.response.DESCRIPTOR.full_name.removeprefix("jaeger.storage.v2."),
        )
        for method in api.METHODS
    }
    del theirs["FindSpans"]
    assert mine == theirs


def test_oneofs_are_jaegers(protos: str) -> None:
    told = re.findall(r"oneof (\w+) \{(.*?)\}", protos, re.DOTALL)
    ((name, body),) = told
    (value,) = api.message_class("AnyValue").DESCRIPTOR.oneofs
    assert value.name == name
    assert [field.name for field in value.fields] == [match[2] for match in FIELD.findall(body)]

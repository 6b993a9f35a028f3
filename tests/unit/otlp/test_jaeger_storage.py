"""Jaeger's storage API: what our messages are on the wire, and how searches are read and written."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.otlp import jaeger_storage as api

TIMES = st.none() | st.integers(1, 2**63 - 1)
SHORT = st.text(max_size=20)


def test_methods_have_the_paths_that_jaeger_calls() -> None:
    assert api.FIND_TRACES.path == "/jaeger.storage.v2.TraceReader/FindTraces"
    assert api.GET_DEPENDENCIES.path == "/jaeger.storage.v2.DependencyReader/GetDependencies"
    assert api.GET_CAPABILITIES.path == "/jaeger.storage.v2.Capabilities/GetCapabilities"
    assert {method.name for method in api.METHODS if method.streams} == {
        "GetTraces",
        "FindTraces",
        "FindTraceSummaries",
    }
    assert len({method.path for method in api.METHODS}) == len(api.METHODS)


def test_a_search_on_the_wire() -> None:
    """Written down by hand from the protocol: one byte for number and kind of a field, its length, its content."""
    query = api.TraceQuery(
        service="s", operation="o", attributes={"k": "v"}, since=10**9 + 1, longest=2 * 10**9, depth=20
    )
    written = api.FindTracesRequest(query=api.write_query(query)).SerializeToString()
    fields = (
        b"\x0a\x01s"  # service_name = 1
        b"\x12\x01o"  # operation_name = 2
        b"\x1a\x08\x0a\x01k\x12\x03\x0a\x01v"  # attributes = 3: key = 1, value = 2: string_value = 1
        b"\x22\x04\x08\x01\x10\x01"  # start_time_min = 4: seconds = 1, nanos = 2
        b"\x3a\x02\x08\x02"  # duration_max = 7: seconds = 1
        b"\x40\x14"  # search_depth = 8
    )
    assert written == b"\x0a" + bytes([len(fields)]) + fields


def test_a_summary_on_the_wire() -> None:
    summary = api.TraceSummary(trace_id=b"t", min_start_time_unix_nano=1, orphan_span_count=3)
    summary.services.add(name="s", span_count=2, error_span_count=1)
    assert summary.SerializeToString() == (
        b"\x0a\x01t" + b"\x21\x01" + bytes(7) + b"\x40\x03" + b"\x4a\x07\x0a\x01s\x10\x02\x18\x01"
    )


@given(
    query=st.builds(
        api.TraceQuery,
        service=SHORT,
        operation=SHORT,
        attributes=st.dictionaries(SHORT, SHORT, max_size=3),
        since=TIMES,
        until=TIMES,
        shortest=TIMES,
        longest=TIMES,
        depth=st.integers(0, 2**31 - 1),
    )
)
def test_a_search_is_read_as_it_was_written(query: api.TraceQuery) -> None:
    message = api.TraceQueryParameters.FromString(api.write_query(query).SerializeToString())
    assert api.read_query(message) == query


@pytest.mark.parametrize("seconds", [-62_135_596_800, -1, 0])
def test_times_that_are_not_set_are_none(seconds: int) -> None:
    message = api.TraceQueryParameters()
    message.start_time_min.seconds = seconds
    message.duration_min.seconds = 0
    query = api.read_query(message)
    assert query.since is query.until is query.shortest is query.longest is None


def test_times_beyond_what_we_can_hold_are_the_last_we_can() -> None:
    message = api.TraceQueryParameters()
    message.start_time_max.seconds = 253_402_300_799  # 9999-12-31
    until = api.read_query(message).until
    assert until is not None
    assert 2**62 < until < 2**63


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("string_value", "a", "a"),
        ("bool_value", True, "true"),
        ("bool_value", False, "false"),
        ("int_value", -3, "-3"),
        ("double_value", 1.5, "1.5"),
        ("bytes_value", b"\x01\xff", "01ff"),
    ],
)
def test_values_are_compared_as_text(field: str, value: object, text: str) -> None:
    message = api.TraceQueryParameters()
    setattr(message.attributes.add(key="k").value, field, value)
    assert api.read_query(message).attributes == {"k": text}


def test_lists_and_maps_are_text_too() -> None:
    message = api.TraceQueryParameters()
    pair = message.attributes.add(key="k")
    pair.value.array_value.values.add(int_value=1)
    pair.value.array_value.values.add().kvlist_value.values.add(key="x").value.string_value = "y"
    message.attributes.add(key="empty")
    assert api.read_query(message).attributes == {"k": "[1,{x:y}]", "empty": ""}


def test_fields_of_newer_versions_are_skipped() -> None:
    newer = (
        api.write_query(api.TraceQuery(service="s")).SerializeToString() + b"\x4a\x02\x0a\x00"
    )  # filter = 9
    assert api.read_query(api.TraceQueryParameters.FromString(newer)).service == "s"


def test_there_is_one_file_of_descriptors() -> None:
    file = descriptor_pb2.FileDescriptorProto()
    api.GetTracesRequest.DESCRIPTOR.file.CopyToProto(file)
    assert file.package == "jaeger.storage.v2"
    assert all(message.name for message in file.message_type)

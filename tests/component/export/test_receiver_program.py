"""The recording receiver as a program of its own, as other end-to-end tests use it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import otlp_receiver
from kubeweft.export.outcomes import Accepted
from kubeweft.export.sending import open_sender, parse_endpoint
from kubeweft.otlp.encoding import encode_batch, encode_span
from otlp_spans import change_span, object_span


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "spans.jsonl"


@pytest.fixture
def program(file: Path) -> Iterator[dict[str, str]]:
    """The addresses that it prints when it is ready."""
    support = str(Path(otlp_receiver.__file__).parent)
    command = [sys.executable, "-m", "otlp_receiver", "--file", str(file)]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": support}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        assert ready[0] == "ready"
        yield dict(word.split("=", 1) for word in ready[1:])
        process.terminate()
        assert process.wait(10) == 0


async def test_it_writes_a_line_for_each_span(program: dict[str, str], file: Path) -> None:
    spans = [object_span(), change_span(1)]
    for address, span in zip((program["grpc"], program["http"]), spans, strict=True):
        sender = open_sender(parse_endpoint(address))
        assert await sender.send(encode_batch([span]), 1) == Accepted()
        await sender.close()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["span_id"] for line in lines] == [span.span_id.hex() for span in spans]
    assert [line["protocol"] for line in lines] == ["GRPC", "HTTPProtobuf"]
    assert [base64.b64decode(line["bytes"]) for line in lines] == [encode_span(span).span for span in spans]
    assert lines[0]["resource"]["service.name"] == "kubeweft-object"
    assert lines[0]["links"][0]["span_id"] == spans[0].links[0].span_id.hex()
    assert lines[1]["start"] == spans[1].start

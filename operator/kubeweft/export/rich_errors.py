"""Reads ``google.rpc.Status``, which receivers send with a failure: in gRPC's trailers, or as the body over HTTP.

What cannot be read counts as not said.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from kubeweft.export.outcomes import LONGEST_DELAY


def status_message(content: bytes) -> str:
    """What the receiver says to a person."""
    try:
        return str(Status.FromString(content).message)
    except DecodeError:
        return ""


def retry_delay(content: bytes) -> float | None:
    """The delay that a ``RetryInfo`` asks for, in seconds, within 0 and ``LONGEST_DELAY``."""
    try:
        for detail in Status.FromString(content).details:
            info = RetryInfo()
            if detail.Is(RetryInfo.DESCRIPTOR) and detail.Unpack(info):
                return within_limits(info.retry_delay.ToNanoseconds() / 1e9)
    except DecodeError:
        return None
    return None


def within_limits(delay: float) -> float:
    """No receiver may silence us for longer than ``LONGEST_DELAY``."""
    return min(max(delay, 0.0), LONGEST_DELAY)

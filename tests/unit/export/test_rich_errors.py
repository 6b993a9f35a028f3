"""google.rpc.Status in answers: read if it can be, ignored if not."""

import pytest
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import DebugInfo, RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.export.outcomes import LONGEST_DELAY
from kubeweft.export.rich_errors import retry_delay, status_message


def status(*details: object, message: str = "") -> bytes:
    packed = []
    for detail in details:
        packed.append(Any())
        packed[-1].Pack(detail)
    return bytes(Status(code=8, message=message, details=packed).SerializeToString())


def retry_info(seconds: float) -> RetryInfo:
    info = RetryInfo()
    info.retry_delay.FromNanoseconds(int(seconds * 1e9))
    return info


@pytest.mark.parametrize(
    ("seconds", "delay"), [(1.5, 1.5), (0.0, 0.0), (-3.0, 0.0), (86400.0, LONGEST_DELAY)]
)
def test_the_delay_is_read_among_other_details_and_limited(seconds: float, delay: float) -> None:
    assert retry_delay(status(DebugInfo(detail="x"), retry_info(seconds))) == delay


def test_no_retry_info_is_no_delay() -> None:
    assert retry_delay(status(message="full")) is None
    assert status_message(status(message="full")) == "full"


@given(st.binary())
def test_rubbish_is_ignored(content: bytes) -> None:
    status_message(content)
    assert (retry_delay(content) or 0.0) >= 0.0


def test_a_detail_that_is_not_what_it_says_is_ignored() -> None:
    broken = Any(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff\xff")
    assert retry_delay(Status(details=[broken]).SerializeToString()) is None

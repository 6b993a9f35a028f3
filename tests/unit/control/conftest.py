"""What the tests of this room share."""

import pytest

from fake_control_api import FakeControlApi


@pytest.fixture
async def api() -> FakeControlApi:
    """An empty API server."""
    return FakeControlApi()

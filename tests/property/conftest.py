"""What the engine's property tests share."""

import pytest
from structlog.testing import capture_logs

from tests.property.engine_failures import Device


@pytest.fixture
def device(monkeypatch):
    """ONNX Runtime, which can be made to fail; failures are logged nowhere, there are thousands."""
    made = Device()
    made.install(monkeypatch)
    with capture_logs():
        yield made

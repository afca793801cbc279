"""Log lines as machines read them."""

import json
import subprocess
import sys

import pytest
import structlog

from service.errors import EngineFailure
from service.rpc.guard import surprise
from tests.server_process import clean_environment

PROGRAM = """
import logging, structlog
from service.telemetry.logs import configure_logs
configure_logs("json", "info")
structlog.contextvars.bind_contextvars(correlation_id="c-1")
structlog.get_logger().info("ours", rows=3)
logging.getLogger("asyncio").error("theirs %s", 4)
logging.getLogger("uvicorn").info("about themselves")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("asyncio").exception("failed")
"""


def test_every_line_is_json_and_bears_the_correlation_id():
    """Those of libraries too, tracebacks within; what libraries say of themselves is left out."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=clean_environment(), check=True
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["ours", "theirs 4", "failed"]
    assert {line["correlation_id"] for line in lines} == {"c-1"}
    assert [line["level"] for line in lines] == ["info", "error", "error"]
    assert [line.get("logger") for line in lines] == [None, "asyncio", "asyncio"]
    assert lines[2]["exception"][0]["exc_type"] == "ZeroDivisionError"


def test_an_error_answers_with_the_callers_own_id():
    """Without one it gets a new one each time."""
    with structlog.contextvars.bound_contextvars(correlation_id="order-17"):
        failure = surprise(ValueError("secret"))
    assert failure.correlation_id == "order-17"
    others = {surprise(ValueError("secret")).correlation_id for _ in range(2)}
    assert len(others) == 2
    assert isinstance(failure, EngineFailure)


LEAKING = """
import sys, structlog
from service.telemetry.logs import configure_logs
configure_logs(sys.argv[1], "info")
def fails(token):
    raise ValueError("why")
try:
    fails("".join(["secret-", "of-a-caller"]))
except ValueError as error:
    structlog.get_logger().error("failed", exc_info=error)
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_values(log_format):
    """A token in a variable on the way stays there."""
    command = [sys.executable, "-c", LEAKING, log_format]
    log = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=True).stderr
    assert "why" in log
    assert "fails" in log
    assert "secret-of-a-caller" not in log

"""The page's calls, as a browser's script makes them."""

import http.client
import json

from tests.http_port import address_of

SESSIONS = "statecast.v1.SessionService/"
FORECAST = "statecast.v1.ForecastService/Forecast"


def ask(server, method, path, body=b"", headers=None):
    """Status, headers and bytes of an answer."""
    connection = http.client.HTTPConnection(address_of(server), timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def call(server, name, message=None, *, token=None, headers=None):
    """Status and message of `POST /api/NAME`."""
    sent = {"Content-Type": "application/json", **(headers or {})}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    status, _, content = ask(server, "POST", f"/api/{name}", json.dumps(message or {}), sent)
    return status, json.loads(content)


class Events:
    """A stream of the page, read event by event; leaving it is what closing the page is."""

    def __init__(self, server, name, message, *, token=None):
        self._connection = http.client.HTTPConnection(address_of(server), timeout=60)
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._connection.request("POST", f"/api/{name}", json.dumps(message), headers)
        self.answer = self._connection.getresponse()

    def __enter__(self):
        return self

    def __exit__(self, *_raised):
        self.close()

    def close(self):
        """Leave."""
        self.answer.close()
        self._connection.close()

    def block(self):
        """The lines of the next event or comment; none at the end."""
        lines = []
        while line := self.answer.readline().decode():
            if line == "\n":
                return lines
            lines.append(line.rstrip("\n"))
        return lines

    def next(self):
        """Kind and message of the next event; None at the end."""
        while lines := self.block():
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            if fields:
                return fields.get("event", "message"), json.loads(fields["data"])
        return None

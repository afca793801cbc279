"""A page that looks at one session, as the server sees it.

`python -m benchmarks.page_reader ADDRESS MODEL SESSION`: a line `open` on its standard input opens the view,
and it says `ready`; `close` leaves it, and it says how many messages came.
"""

import http.client
import json
import select
import sys

_PATH = "/api/statecast.v1.SessionService/WatchRows"
_EVENT = b"data: "


class View:
    """A stream of events that is open."""

    def __init__(self, address: str, model: str, session: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=30)
        body = json.dumps({"model": model, "session_id": session})
        self._connection.request("POST", _PATH, body, {"Content-Type": "application/json"})
        self._answer = self._connection.getresponse()
        if self._answer.status != 200 or self._answer.readline() != b": open\n":
            raise RuntimeError(f"the watch was refused: {self._answer.status}")
        self.num_messages = 0

    def fileno(self) -> int:
        """Of its socket."""
        return self._answer.fileno()

    def read(self) -> None:
        """Take what has come."""
        self.num_messages += self._answer.read1(1 << 16).count(_EVENT)

    def close(self) -> None:
        """Leave the page."""
        self._answer.close()
        self._connection.close()


def main(address: str, model: str, session: str) -> None:
    """Until standard input ends."""
    view: View | None = None
    while True:
        ready = select.select([sys.stdin, view] if view else [sys.stdin], [], [])[0]
        if view in ready and view is not None:
            view.read()
        if sys.stdin not in ready:
            continue
        word = sys.stdin.readline().strip()
        if word == "open":
            view = View(address, model, session)
            print("ready", flush=True)
        elif view is not None:
            view.close()
            print(view.num_messages, flush=True)
            view = None
        if not word:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])

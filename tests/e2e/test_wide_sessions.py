"""Sessions of a model whose rows have more than features: they move and are shared as any other."""

import itertools
from contextlib import ExitStack

import numpy as np
import pytest

import statecast
from service.sessions.seal_keys import new_key
from tests.e2e.test_covariates import AHEAD, HOUR, ROWS, TIMES, WIDE, answers, told
from tests.echo_model import write_echo
from tests.server_process import serving
from tests.valkey_server import valkey_server

_names = (f"s{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    """Clients of two servers that share their sessions by a Valkey server."""
    repository = tmp_path_factory.mktemp("repository")
    write_echo(repository)
    keys = tmp_path_factory.mktemp("keys") / "seal.keys"
    keys.write_text(new_key() + "\n")
    with ExitStack() as stack:
        valkey = stack.enter_context(valkey_server(tmp_path_factory.mktemp("valkey")))
        flags = ["--store", valkey.url, "--seal-keys", str(keys)]
        servers = [stack.enter_context(serving(repository, *flags)) for _ in range(2)]
        yield [stack.enter_context(statecast.Client(server.address)) for server in servers]


def test_replicas_take_wide_rows_in_turn(replicas):
    """What a row said of the steps to come and of its time is in the state that the next replica finds."""
    name = next(_names)
    for row in range(4):
        session = replicas[row % 2].session("echo", name)
        result = session.forecast(WIDE[row], TIMES[row : row + 1])
        assert answers(result) == [told(row, time=HOUR + row)]
        # A row that comes late is skipped: the other one answers of the session as it stands.
        again = replicas[1 - row % 2].session("echo", name)
        assert answers(again.forecast(WIDE[row], TIMES[row : row + 1])) == [told(row, time=HOUR + row)]


def test_an_exported_session_remembers_what_is_ahead(replicas):
    """Opened under another name, it stands where it stood and steps on from there."""
    one, other = replicas
    before, after = next(_names), next(_names)
    one.session("echo", before).forecast(WIDE[:3], TIMES[:3])
    exported = one.sessions("echo").export(before)
    one.sessions("echo").delete(before)
    assert other.sessions("echo").import_(after, exported).position == 3
    stands = other.session("echo", after)
    assert answers(stands.forecast(WIDE[2], TIMES[2:3])) == [told(2, time=HOUR + 2)]
    rows = statecast.with_future(one.model("echo"), ROWS[3:5], AHEAD[3:5])
    later = one.session("echo", after).forecast(rows, TIMES[3:5], reply="each")
    assert answers(later) == [told(3, time=HOUR + 3), told(4, time=HOUR + 4)]


def test_a_fork_knows_what_is_ahead_and_goes_its_own_way(replicas):
    """The copy stands where the original stood; other rows of the copy leave the original alone."""
    one, other = replicas
    name, copy = next(_names), next(_names)
    one.session("echo", name).forecast(WIDE[:2], TIMES[:2])
    one.sessions("echo").fork(name, copy)
    changed = np.hstack([ROWS[2], AHEAD[5]])
    (found,) = answers(other.session("echo", copy).forecast(changed, TIMES[2:3]))
    assert found[3:6] == AHEAD[5].tolist()
    stands = other.session("echo", name)
    assert answers(stands.forecast(WIDE[1], TIMES[1:2])) == [told(1, time=HOUR + 1)]

"""The stock `tritonclient[grpc]` against a real server: every mode, each reply against ONNX Runtime."""

import itertools

import numpy as np
import pytest

from models.artifact import unseal
from tests.reference import assert_close, reference_forecasts
from tests.triton import drive

MODES = ("sync", "async", "stream", "aio", "aio_stream")
_ids = itertools.count(1000)


@pytest.fixture(scope="module")
def reference(repository):
    """The forecasts after each row of a series of `two`, by ONNX Runtime alone."""
    content = (repository / "two" / "1" / "model.onnx").read_bytes()
    manifest = unseal(content)[1]
    return lambda rows: reference_forecasts(content, manifest, np.asarray(rows, np.float64))


def series(seed, num_rows=6):
    return np.random.default_rng(seed).normal(10, 3, (num_rows, 2)).tolist()


def requests_of(sequence_id, rows, **arguments):
    """One row a request, the first starting the sequence and the last ending it."""
    last = len(rows) - 1
    return [
        {
            "model": "two",
            "values": [[row]],
            "arguments": {
                "sequence_id": sequence_id,
                "sequence_start": index == 0,
                "sequence_end": index == last,
                "request_id": f"{sequence_id}/{index}",
                **arguments,
            },
        }
        for index, row in enumerate(rows)
    ]


def forecasts(answers):
    return [answer["outputs"]["forecast"][0] for answer in answers]


@pytest.mark.parametrize("mode", MODES)
def test_sequences_by_number_and_by_name_forecast_what_onnx_runtime_does(server, reference, mode):
    """Interleaved sequences each keep a state of their own, on streams all requests under way at once."""
    named = {next(_ids): series(1), f"meter-{mode}": series(2), -next(_ids): series(3)}
    if mode == "sync":
        named = {-(2**63): series(4), f"{mode} ü": series(5), 2**63 - 1: series(6)}
    plans = [requests_of(name, rows) for name, rows in named.items()]
    waves = list(zip(*plans, strict=True))
    requests = [request for wave in waves for request in wave]
    answers = drive(mode, address=server.address, requests=waves if mode in ("async", "aio") else requests)
    assert [answer.get("error") for answer in answers] == [None] * len(answers)
    assert [a["id"] for a in answers] == [r["arguments"]["request_id"] for r in requests]
    for index, rows in enumerate(named.values()):
        mine = answers[index :: len(named)]
        assert_close(forecasts(mine), reference(rows))
        assert [a["outputs"]["positions"] for a in mine] == [[[n + 1]] for n in range(len(rows))]


def test_what_the_client_asks_of_a_server_and_a_model(server):
    """Metadata lists no state, configuration has sequences, the version is a number."""
    found = drive("describe", address=server.address, model="two")
    assert (found["live"], found["ready"], found["model_ready"], found["other_ready"]) == (1, 1, 1, 0)
    assert found["server"]["name"] == "statecast"
    assert "sequence" in found["server"]["extensions"]
    assert found["metadata"]["versions"] == ["1"]
    assert found["metadata"]["inputs"] == [{"name": "x", "datatype": "FP64", "shape": ["-1", "-1", "2"]}]
    assert {o["name"]: o["shape"] for o in found["metadata"]["outputs"]} == {
        "forecast": ["-1", "4", "3"],
        "positions": ["-1", "1"],
    }
    config = found["config"]
    assert config["max_batch_size"] == 1024
    assert [(i["name"], i["data_type"], i["dims"]) for i in config["input"]] == [
        ("x", "TYPE_FP64", ["-1", "2"])
    ]
    assert int(config["sequence_batching"]["max_sequence_idle_microseconds"]) == 7 * 86_400 * 10**6
    assert "state" not in config["sequence_batching"]
    assert {(each["name"], each["version"], each["state"]) for each in found["index"]} == {
        ("two", "1", "READY"),
        ("gru", "1", "READY"),
    }


def test_statistics_rise_with_what_is_answered_and_refused(server):
    """Counts and durations grow by what was sent, and never fall."""

    def statistics():
        (found,) = drive("describe", address=server.address, model="two")["statistics"]
        stats = found["inference_stats"]
        counts = {name: int(stats.get(name, {}).get("count", 0)) for name in ("success", "fail", "queue")}
        times = {name: int(stats.get(name, {}).get("ns", 0)) for name in ("success", "compute_infer")}
        return counts, times, int(found["inference_count"]), int(found["execution_count"])

    good = requests_of(next(_ids), series(7))
    bad = requests_of(next(_ids), series(8))[1:3]
    drive("sync", address=server.address, requests=good[:1])
    before = statistics()
    answers = drive("sync", address=server.address, requests=good[1:] + bad)
    after = statistics()
    assert ["error" in answer for answer in answers] == [False] * 5 + [True] * 2
    assert {name: after[0][name] - before[0][name] for name in after[0]} == {
        "success": 5,
        "fail": 2,
        "queue": 5,
    }
    assert all(after[1][name] > before[1][name] for name in after[1])
    assert (after[2] - before[2], after[3] - before[3]) == (5, 5)


@pytest.mark.parametrize("mode", ["sync", "stream"])
def test_an_unknown_sequence_without_start_is_refused_in_words_that_say_so(server, mode):
    """The refusal names START and the id, and the next request of the stream is answered."""
    name = next(_ids)
    lost = requests_of(name, series(9))[1]
    good = requests_of(name, series(9))[0]
    refused, answered = drive(mode, address=server.address, requests=[lost, good])
    assert "INVALID_ARGUMENT" in refused["error"]
    assert "the START flag on the first request of the sequence" in refused["error"]
    assert f"'{name}'" in refused["error"]
    assert answered["outputs"]["positions"] == [[1]]


def test_one_request_advances_many_sequences(server, reference):
    """A batch with a tensor of ids forecasts what each sequence alone does; one bad entry harms no other."""
    all_rows = [series(seed) for seed in (11, 12, 13)]
    ids = [f"many-{index}" for index in range(3)]

    def request(start, stop, **more):
        values = [rows[start:stop] for rows in all_rows]
        return {"model": "two", "values": values, "ids": ids, **more}

    first, second, third, fourth = drive(
        "sync",
        address=server.address,
        requests=[
            request(0, 2, arguments={"parameters": {"statecast_sequence_start": True}}),
            request(2, 3),
            request(
                3, 6, positions=[[3], [9], [3]], arguments={"parameters": {"statecast_sequence_end": True}}
            ),
            request(0, 1),
        ],
    )
    expected = np.stack([reference(rows) for rows in all_rows])
    assert_close(first["outputs"]["forecast"], expected[:, 1])
    assert_close(second["outputs"]["forecast"], expected[:, 2])
    assert_close(np.array(third["outputs"]["forecast"])[[0, 2]], expected[[0, 2], 5])
    assert third["outputs"]["positions"] == [[6], [-1], [6]]
    assert np.isnan(third["outputs"]["forecast"][1]).all()
    (good,), (bad,), (fine,) = third["outputs"]["errors"]
    assert (good, fine) == ("", "")
    assert bad.startswith("[ABORTED] position 9: the session has consumed 3 rows")
    # The two that were applied are over; the one that was refused is not.
    assert fourth["outputs"]["positions"] == [[-1], [4], [-1]]


def test_a_resent_request_with_its_position_is_applied_once(server, reference):
    """Our parameter keeps the promise that sequences alone cannot."""
    rows = series(14, 3)
    name = next(_ids)
    plan = requests_of(name, rows)
    for index, request in enumerate(plan):
        request["arguments"] |= {"parameters": {"statecast_position": index}, "sequence_end": False}
    answers = drive("sync", address=server.address, requests=[*plan, plan[2]])
    assert_close(forecasts(answers), reference(rows)[[0, 1, 2, 2]])
    assert [a["outputs"]["positions"] for a in answers] == [[[1]], [[2]], [[3]], [[3]]]
    assert answers[3]["parameters"] == {
        "statecast_position": {"int64Param": "3"},
        "statecast_skipped": {"int64Param": "1"},
    }


def test_priority_timeout_and_the_final_response_are_taken(server):
    """What clients send along with a sequence is no reason to refuse it."""
    (plain,) = requests_of(next(_ids), series(15, 1), priority=3, timeout=30_000_000)
    (streamed,) = requests_of(next(_ids), series(15, 1), enable_empty_final_response=True, priority=1)
    (answer,) = drive("sync", address=server.address, requests=[plain])
    assert "error" not in answer
    (answer,) = drive("stream", address=server.address, requests=[streamed])
    assert answer["parameters"]["triton_final_response"] == {"boolParam": True}


def test_a_version_loaded_by_the_client_is_served(server):
    """The stock call for loading names a model that the repository has."""
    assert drive("load", address=server.address, model="gru") is None

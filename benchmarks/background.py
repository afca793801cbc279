"""A second client, in a process of its own, that loads long histories as fast as they are taken."""

import multiprocessing
import time
from multiprocessing.connection import Connection as Pipe

import numpy as np

from benchmarks.lanes import Lanes
from benchmarks.load import CutOff
from benchmarks.traffic import STREAM_PATH, decode, frame, naming
from statecast.v1 import forecast_pb2 as pb

_NUM_SESSIONS = 16
_IN_FLIGHT = 2
_PATIENCE_S = 30.0


class HistoryLoader:
    """Sends frames of 16 histories each between `start` and `stop`."""

    def __init__(self, address: str, num_rows: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_load, args=(theirs, address, num_rows), daemon=True)

    def __enter__(self) -> "HistoryLoader":
        self._process.start()
        self._told()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def start(self) -> None:
        """Begin; returns once the first frames are on their way."""
        self._pipe.send("start")
        self._told()

    def stop(self) -> float:
        """Stop sending and wait for what is under way; returns rows a second."""
        self._pipe.send("stop")
        return self._told()

    def _told(self) -> float:
        if not self._pipe.poll(_PATIENCE_S):
            raise CutOff(f"the histories did not end within {_PATIENCE_S:.0f} s")
        return float(self._pipe.recv())


def _load(pipe: Pipe, address: str, num_rows: int) -> None:
    rows = np.random.default_rng(0).standard_normal((_NUM_SESSIONS, num_rows)) + 10.0
    message = frame(np.arange(_NUM_SESSIONS), rows, pb.REPLY_NONE, num_rows=num_rows)
    with Lanes(address, STREAM_PATH, 1) as lanes:
        for opening in naming("history-", np.arange(_NUM_SESSIONS)):
            lanes.send(0, opening)
        pipe.send(0.0)
        while pipe.recv() == "start":
            pipe.send(0.0)
            pipe.send(_load_until_told(pipe, lanes, message) * _NUM_SESSIONS * num_rows)


def _load_until_told(pipe: Pipe, lanes: Lanes, message: bytes) -> float:
    """Frames a second until something comes through the pipe, which is left there."""
    begin, num_sent, num_come = time.perf_counter(), 0, 0
    while num_come < num_sent or not pipe.poll():
        while num_sent - num_come < _IN_FLIGHT and not pipe.poll():
            lanes.send(0, message)
            num_sent += 1
        lanes.flush()
        for _, reply in lanes.poll(0.1):
            decode(reply)
            num_come += 1
    pipe.recv()
    return num_come / (time.perf_counter() - begin)

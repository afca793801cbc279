"""Frames written by hand, straight from `forecast.proto`."""

import queue

import numpy as np

from statecast.v1 import forecast_pb2 as pb


def opening(model, *session_ids):
    """A request that names sessions 0, 1, ... of a model."""
    handles = [
        pb.SessionHandle(handle=handle, model=model, session_id=session_id)
        for handle, session_id in enumerate(session_ids)
    ]
    return pb.StreamForecastsRequest(sessions=handles)


def frame(handles, values, *, lengths=None, positions=None, times_us=None, number=1, **fields):
    """A request with a frame; `values` are the columns' numbers, row by row."""

    def column(numbers, dtype):
        return b"" if numbers is None else np.asarray(numbers, dtype).tobytes()

    return pb.StreamForecastsRequest(
        frame=pb.Frame(
            id=number,
            handles=column(handles, "<u4"),
            lengths=column(lengths, "<u4"),
            positions=column(positions, "<i8"),
            times_us=column(times_us, "<i8"),
            values=column(values, "<f8"),
            **fields,
        )
    )


def forecasts_of(response):
    """Per entry: an array (N, K, Q) of its forecasts."""
    positions = np.frombuffer(response.positions, "<i8")
    counts = (
        np.frombuffer(response.num_forecasts, "<u4")
        if response.num_forecasts
        else np.ones(len(positions), int)
    )
    every = np.frombuffer(response.forecasts, "<f4")
    every = every.reshape(-1, response.horizon, response.num_quantile_levels)
    return np.split(every, np.cumsum(counts)[:-1])


class OpenRequests:
    """An iterator of requests that stays open until it is closed."""

    def __init__(self):
        self._queue = queue.Queue()

    def __iter__(self):
        return self

    def __next__(self):
        request = self._queue.get()
        if request is None:
            raise StopIteration
        return request

    def send(self, request):
        """Send one more."""
        self._queue.put(request)

    def close(self):
        """End the stream."""
        self._queue.put(None)

"""ForecastService: unary forecasts, and streams of frames."""

from collections.abc import AsyncIterator, Mapping

import grpc

from service.clock import Clock
from service.errors import StatecastError
from service.rpc import carried, unary
from service.rpc.deadline import deadline_s
from service.rpc.frames import FrameLimits
from service.rpc.guard import guarded, surprise
from service.rpc.single_rows import SingleRows
from service.rpc.status import Context, abort
from service.rpc.stream import Stream
from service.security.caller import tenant
from service.sessions.catalog import Catalog
from service.sessions.seal import Seals
from statecast.v1 import forecast_pb2 as pb


class _RowsByModel(dict[str, SingleRows]):
    """Collectors by model name; a model that is served later gets its own with its first row."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__()
        self._catalog = catalog

    def __missing__(self, model: str) -> SingleRows:
        rows = self[model] = SingleRows(self._catalog.worker(model))
        return rows


class ForecastService:
    """Applies rows to sessions; see `forecast.proto`.

    Attributes:
        rows: collectors of single rows, by model.
    """

    def __init__(
        self, catalog: Catalog, limits: FrameLimits, clock: Clock, seals: Seals | None = None
    ) -> None:
        """Without `seals` callers cannot carry their states."""
        self._seals = seals
        self._catalog = catalog
        self._limits = limits
        self._clock = clock
        self.rows: Mapping[str, SingleRows] = _RowsByModel(catalog)
        self._streams: set[Stream] = set()

    def handler(self) -> grpc.GenericRpcHandler:  # type: ignore[type-arg]
        """What to add to a server: messages of streams come and go as bytes."""
        service = pb.DESCRIPTOR.services_by_name["ForecastService"]
        return grpc.method_handlers_generic_handler(
            service.full_name,
            {
                "Forecast": grpc.unary_unary_rpc_method_handler(
                    self.forecast, pb.ForecastRequest.FromString, pb.ForecastResponse.SerializeToString
                ),
                "StreamForecasts": grpc.stream_stream_rpc_method_handler(self.stream_forecasts),
            },
        )

    @guarded
    async def forecast(self, request: pb.ForecastRequest, context: Context) -> pb.ForecastResponse:
        """See `Forecast` in `forecast.proto`."""
        worker = self._catalog.worker(request.model)
        if request.carry_state:
            until_s = deadline_s(context, self._clock)
            return await carried.forecast(request, worker, self._seals, self._limits, until_s, tenant())
        rows = self.rows[worker.model.name]
        until_s = deadline_s(context, self._clock)
        return await unary.forecast(request, worker, rows, self._limits, until_s, tenant())

    async def stream_forecasts(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """See `StreamForecasts` in `forecast.proto`."""
        until_s = deadline_s(context, self._clock)
        stream = Stream(self._catalog, self._limits, self.rows, context, until_s, tenant())
        self._streams.add(stream)
        try:
            await stream.read(requests)
        except StatecastError as error:
            await abort(context, error)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await abort(context, surprise(error))
        finally:
            self._streams.discard(stream)
            stream.drop()

    def drain(self) -> None:
        """Read no more frames: streams answer those they have read, and end with UNAVAILABLE."""
        for stream in self._streams:
            stream.stop_reading()

"""Puts the server together, runs it, and lets it go without losing a row."""

import asyncio
import gc
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import grpc
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service.clock import Clock, SystemClock
from service.engine.model import ServedModel, prepare
from service.errors import InvalidSettings
from service.repository import latest_versions, load
from service.rpc.forecast_service import ForecastService
from service.rpc.frames import FrameLimits
from service.rpc.model_service import ModelService
from service.rpc.session_service import SessionService
from service.sessions.catalog import Catalog
from service.sessions.plan import StepLimits
from service.sessions.worker import Limits, SessionWorker
from service.settings import Settings
from service.telemetry.banner import print_banner
from service.telemetry.logs import configure_logs
from statecast.v1 import (
    forecast_pb2,
    model_pb2,
    model_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
)

_log = structlog.get_logger()

# Handing a batch to another thread and back costs more than so many rows do.
_MAX_INLINE_ROWS = 512

_SERVICES = (
    forecast_pb2.DESCRIPTOR.services_by_name["ForecastService"].full_name,
    session_pb2.DESCRIPTOR.services_by_name["SessionService"].full_name,
    model_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
)


def load_models(settings: Settings) -> list[ServedModel]:
    """Every model of the repository, at its latest version, on its device and checked.

    Raises:
        StartupError: there is none, one is refused, or the device is not there.
    """
    return [
        prepare(
            load(settings.repository, file),
            settings.device,
            settings.intra_op_threads,
            settings.max_sessions,
        )
        for file in latest_versions(settings.repository)
    ]


class Server:
    """A running server. Make it inside the event loop that runs it."""

    def __init__(self, settings: Settings, models: list[ServedModel], clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._executor = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="engine")
        self._catalog = Catalog({model.name: self._worker(model, clock) for model in models})
        self._workers = [asyncio.create_task(worker.run()) for worker in self._catalog]
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._grpc = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                # Two servers on one port would share its connections in silence.
                ("grpc.so_reuseport", 0),
            ]
        )
        self._add_services()

    async def start(self) -> str:
        """Listen and report healthy; returns the address with its real port.

        Raises:
            InvalidSettings: the address cannot be listened on.
        """
        host = self._settings.address.rpartition(":")[0]
        try:
            port = self._grpc.add_insecure_port(self._settings.address)
        except RuntimeError as error:
            raise InvalidSettings(f"address {self._settings.address}: cannot listen there") from error
        await self._grpc.start()
        for service in ("", *_SERVICES):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return f"{host}:{port}"

    async def wait_for_failure(self) -> None:
        """Return when a worker has ended, which only a defect makes it do."""
        done, _ = await asyncio.wait(self._workers, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            _log.error("a model's worker ended", exc_info=task.exception())

    async def drain(self) -> None:
        """Refuse what is new, answer what is under way, then stop.

        Streams end with UNAVAILABLE once their frames are answered, so that their clients go
        elsewhere; what is not done after `drain_timeout_s` is cut off, before or after a row.
        """
        await self._health.enter_graceful_shutdown()
        self._forecasts.drain()
        await self._grpc.stop(self._settings.drain_timeout_s)
        for task in self._workers:
            task.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._executor.shutdown()

    def _worker(self, model: ServedModel, clock: Clock) -> SessionWorker:
        s = self._settings
        steps = StepLimits(s.max_gap_steps, s.max_rows_per_chunk + s.max_gap_steps)
        limits = Limits(s.session_ttl_s, s.max_sessions, s.max_batch_size, s.max_queued_rows, _MAX_INLINE_ROWS, steps)
        return SessionWorker(model, limits, clock, self._executor)

    def _add_services(self) -> None:
        limits = FrameLimits(self._settings.max_rows_per_chunk, self._settings.max_message_bytes)
        self._forecasts = ForecastService(self._catalog, limits, self._clock)
        self._grpc.add_generic_rpc_handlers((self._forecasts.handler(),))
        session_pb2_grpc.add_SessionServiceServicer_to_server(SessionService(self._catalog), self._grpc)
        model_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(self._catalog), self._grpc)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        if self._settings.reflection:
            names = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._grpc)


async def _serve(settings: Settings, models: list[ServedModel]) -> int:
    server = Server(settings, models, SystemClock())
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    address = await server.start()
    _spare_collections()
    if settings.log_format == "console":
        print_banner(settings, address, models)
    _log.info("serving", address=address, models=[f"{model.name}/{model.version}" for model in models])
    stopped = asyncio.create_task(stop.wait())
    failed = asyncio.create_task(server.wait_for_failure())
    await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
    _log.info("draining", timeout_s=settings.drain_timeout_s)
    await server.drain()
    failed.cancel()
    _log.info("stopped")
    return 1 if failed.done() and not failed.cancelled() else 0


def _spare_collections() -> None:
    """Keep the cyclic garbage collector from walking what start-up made, and from running for each message.

    A quarter of a million new objects between collections, where Python's default is 700: a stream's
    message makes dozens, none of them in a cycle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(250_000, 20, 20)


def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status.

    Raises:
        StartupError: the server cannot start as it was told to.
    """
    configure_logs(settings.log_format, settings.log_level)
    return uvloop.run(_serve(settings, load_models(settings)))

"""Puts the server together, runs it, and lets it go without losing a row."""

import asyncio
import functools
import gc
import os
import resource
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service.clock import Clock, SystemClock
from service.engine.model import ServedModel
from service.errors import InvalidSettings, StoreRefused, StoreUnavailable
from service.heap import share_one_heap
from service.loading import ModelLoader
from service.rpc.forecast_service import ForecastService
from service.rpc.frames import FrameLimits
from service.rpc.gate import Gate
from service.rpc.inference import grpc_service_pb2
from service.rpc.model_service import ModelService
from service.rpc.observing import Observing
from service.rpc.oip.contract import InferenceLimits
from service.rpc.oip.service import InferenceService
from service.rpc.session_service import SessionService
from service.rpc.tls import Certificates
from service.security.addresses import check_exposure, is_local
from service.security.authenticator import Authenticator, has_tenants
from service.serving import Serving
from service.sessions.catalog import Catalog
from service.sessions.limits import Limits
from service.sessions.plan import StepLimits
from service.sessions.seal import Seals
from service.sessions.seal_keys import KeyRing
from service.sessions.upkeep import Upkeep
from service.sessions.worker import SessionWorker
from service.settings import Settings
from service.store.open import open_store
from service.telemetry.banner import print_banner
from service.telemetry.logs import configure_logs
from service.telemetry.metrics import registry_of
from service.telemetry.requests import RequestCounts
from service.telemetry.tracing import Tracing
from statecast.v1 import (
    forecast_pb2,
    model_pb2,
    model_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
)

if TYPE_CHECKING:
    from service.web.http_port import HttpPort

_log = structlog.get_logger()

# Handing a batch to another thread and back costs more than so many rows do.
_MAX_INLINE_ROWS = 512

# Calls under way on one connection; further ones wait with their sender.
_MAX_STREAMS = 10_000

_SERVICES = (
    forecast_pb2.DESCRIPTOR.services_by_name["ForecastService"].full_name,
    session_pb2.DESCRIPTOR.services_by_name["SessionService"].full_name,
    model_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
    grpc_service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name,
)


def load_models(settings: Settings) -> list[ServedModel]:
    """Every model of the repository, at its latest version, on its device and checked.

    Raises:
        StartupError: there is none, one is refused, or the device is not there.
    """
    loader = _loader(settings)
    return [loader.load(file) for file in loader.latest()]


def _loader(settings: Settings) -> ModelLoader:
    capacity = settings.max_resident_sessions
    if not has_tenants(settings):
        capacity = min(capacity, settings.max_sessions)
    return ModelLoader(
        settings.repository, settings.device, settings.intra_op_threads, capacity, settings.max_model_bytes
    )


def certificates_of(settings: Settings) -> Certificates | None:
    """What the port is secured with, None for clear text.

    Raises:
        InvalidSettings: a file is wrong, or clear text would be spoken where others can hear it.
    """
    check_exposure(settings.address, has_tls=settings.has_tls, insecure=settings.insecure)
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise InvalidSettings("tls_cert and tls_key: expected both or neither")
    if settings.tls_cert is None or settings.tls_key is None:
        if settings.tls_client_ca is not None:
            raise InvalidSettings("tls_client_ca: expected tls_cert and tls_key beside it")
        return None
    return Certificates(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


class Server:
    """A running server. Make it inside the event loop that runs it."""

    def __init__(self, settings: Settings, models: list[ServedModel], clock: Clock) -> None:
        self._settings = settings
        self._certificates = certificates_of(settings)
        self._clock = clock
        self._failed = asyncio.Event()
        self._watchers: list[asyncio.Task[None]] = []
        self._http: HttpPort | None = None
        self._is_ready = False
        self._requests = RequestCounts()
        self._tracing = Tracing(settings.trace, settings.trace_ratio, clock) if settings.trace else None
        self._executor = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="engine")
        self._store = open_store(
            settings.store_url,
            durability=settings.durability,
            journal_rows=settings.journal_rows,
            ttl_s=settings.session_ttl_s,
            recent_rows=settings.recent_rows,
            clock=clock.wall_s,
        )
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._catalog = Catalog({model.name: self._worker(model) for model in models})
        self._serving = Serving(_loader(settings), self._catalog, self._executor, self._start_worker)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._authenticator = Authenticator(settings, clock)
        self._gates = self._make_gates()
        self._grpc = grpc.aio.server(
            interceptors=[*self._gates, Observing(self._requests, self._tracing)],
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                ("grpc.max_allowed_incoming_connections", settings.max_connections),
                ("grpc.max_concurrent_streams", _MAX_STREAMS),
                # Who has connected and says nothing is let go, and so is who has gone without a word.
                ("grpc.server_handshake_timeout_ms", 10_000),
                # Pings are not counted: gRPC copies the error of the last strike with each further one.
                ("grpc.http2.max_ping_strikes", 0),
                ("grpc.keepalive_time_ms", 300_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                # Two servers on one port would share its connections in silence.
                ("grpc.so_reuseport", 0),
            ],
        )
        self._add_services()

    async def start(self) -> str:
        """Listen and report healthy; returns the address with its real port.

        Raises:
            InvalidSettings: an address cannot be listened on.
        """
        if self._settings.http_address:
            self._http = self._open_http()
        for worker in self._catalog:
            await self._recover(worker)
            self._run(worker)
        if self._settings.watch_s:
            self._watchers.append(asyncio.create_task(self._serving.watch(self._settings.watch_s)))
        for gate in self._gates:
            self._watchers.append(asyncio.create_task(gate.keep_watch()))
            self._watchers[-1].add_done_callback(self._ended)
        host = self._settings.address.rpartition(":")[0]
        try:
            port = self._listen(self._settings.address)
        except RuntimeError as error:
            why = "cannot listen there; --address names another, and its port 0 takes any free one"
            raise InvalidSettings(f"address {self._settings.address}: {why}") from error
        await self._grpc.start()
        for service in ("", *_SERVICES):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        self._is_ready = True
        return f"{host}:{port}"

    def _open_http(self) -> "HttpPort":
        # Loaded where it is asked for: a tenth of a second.
        from service.web.http_port import HttpPort

        def is_ready() -> bool:
            return self._is_ready and not self._failed.is_set()

        registry = registry_of(self._catalog, self._requests, is_ready)
        http = HttpPort(self._settings, registry, self._requests, self._authenticator, is_ready)
        if http.private_target is not None:
            self._grpc.add_insecure_port(http.private_target)
        return http

    def _listen(self, address: str) -> int:
        if self._certificates is None:
            return self._grpc.add_insecure_port(address)
        return self._grpc.add_secure_port(address, self._certificates.credentials())

    async def wait_for_failure(self) -> None:
        """Return when a task that goes on for ever has ended, which only a defect makes it do."""
        await self._failed.wait()

    async def rescan(self) -> None:
        """See `Serving.rescan`."""
        await self._serving.rescan()

    async def drain(self) -> None:
        """Refuse what is new, answer what is under way, then stop.

        Streams end with UNAVAILABLE once their frames are answered, so that their clients go
        elsewhere; what is not done after `drain_timeout_s` is cut off, before or after a row.
        """
        self._is_ready = False
        await self._health.enter_graceful_shutdown()
        self._forecasts.drain()
        self._inference.drain()
        self._sessions.drain()
        await self._grpc.stop(self._settings.drain_timeout_s)
        tasks = [task for tasks in self._tasks.values() for task in tasks] + self._watchers
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            # Last, so that the counts of what was drained can still be fetched.
            await self._http.close()
        await self._store.close()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)
        self._executor.shutdown()

    async def _recover(self, worker: SessionWorker) -> None:
        try:
            num_rows, broken = await worker.recover()
        except StoreUnavailable as error:
            raise StoreRefused(self._settings.store_url, error.reason) from error
        if num_rows or broken:
            _log.info("recovered", model=worker.model.name, sessions=len(worker.table), rows=num_rows)
        for session_id in broken:
            _log.error("a session's journal has a hole", model=worker.model.name, session_id=session_id)

    async def _start_worker(self, model: ServedModel) -> SessionWorker:
        """For a model that comes while the server runs."""
        worker = self._worker(model)
        await self._recover(worker)
        self._run(worker)
        return worker

    def _run(self, worker: SessionWorker) -> None:
        upkeep = Upkeep(worker, self._settings.session_ttl_s, self._clock)
        tasks = [asyncio.create_task(worker.run()), asyncio.create_task(upkeep.run())]
        for task in tasks:
            task.add_done_callback(self._ended)
        self._tasks[worker.model.name] = tasks

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            _log.error("a task that goes on for ever ended", exc_info=task.exception())
            self._failed.set()

    async def _fetch(self, model: str, digest: str) -> ServedModel | None:
        return await self._serving.fetch(model, digest)

    def _worker(self, model: ServedModel) -> SessionWorker:
        s = self._settings
        steps = StepLimits(s.max_gap_steps, s.max_rows_per_chunk + s.max_gap_steps)
        limits = Limits(
            s.session_ttl_s,
            # Of each tenant, where there are any, and then of all of them as many as they have.
            sys.maxsize if has_tenants(s) else s.max_sessions,
            s.max_batch_size,
            s.max_queued_rows,
            _MAX_INLINE_ROWS,
            steps,
            s.recent_rows,
            s.max_sessions if has_tenants(s) else None,
        )
        fetch = functools.partial(self._fetch, model.name)
        return SessionWorker(model, limits, self._clock, self._executor, self._store, fetch, self._tracing)

    def _add_services(self) -> None:
        s = self._settings
        limits = FrameLimits(s.max_rows_per_chunk, s.max_message_bytes, 4 * s.max_sessions)
        keys = self._settings.seal_keys
        seals = None if keys is None else Seals(KeyRing(keys, self._clock))
        self._forecasts = ForecastService(self._catalog, limits, self._clock, seals)
        self._grpc.add_generic_rpc_handlers((self._forecasts.handler(),))
        self._inference = self._inference_service()
        self._grpc.add_generic_rpc_handlers((self._inference.handler(),))
        self._sessions = SessionService(self._catalog, self._clock, self._settings.max_message_bytes)
        session_pb2_grpc.add_SessionServiceServicer_to_server(self._sessions, self._grpc)
        model_pb2_grpc.add_ModelServiceServicer_to_server(
            ModelService(self._catalog, self._serving), self._grpc
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        if self._has_reflection:
            names = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._grpc)

    @property
    def _is_guarded(self) -> bool:
        """Whether nobody unknown can call."""
        return self._authenticator.asks or is_local(self._settings.address)

    @property
    def _has_reflection(self) -> bool:
        chosen = self._settings.reflection
        return self._is_guarded if chosen is None else chosen

    def _make_gates(self) -> list[Gate]:
        """None on a machine's own address without tokens: calls there cost what they did."""
        has_operators = self._authenticator.has_operators
        if has_operators and not self._authenticator.asks:
            return []
        return [Gate(self._authenticator, self._requests, has_operators=has_operators)]

    def _inference_service(self) -> InferenceService:
        s = self._settings
        limits = InferenceLimits(
            s.max_batch_size, s.max_rows_per_chunk, s.max_message_bytes, s.max_sessions, s.session_ttl_s
        )
        return InferenceService(self._catalog, self._serving, self._forecasts.rows, limits, self._clock)


async def _serve(settings: Settings, models: list[ServedModel]) -> int:
    server = Server(settings, models, SystemClock())
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    address = await server.start()
    rescans: set[asyncio.Task[None]] = set()

    def rescan() -> None:
        task = asyncio.create_task(server.rescan())
        rescans.add(task)
        task.add_done_callback(rescans.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, rescan)
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


def _open_as_many_files(num_connections: int) -> None:
    """As many connections as are allowed should find a descriptor each, where the machine has them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = num_connections + 1024
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status.

    Raises:
        StartupError: the server cannot start as it was told to.
    """
    share_one_heap()
    configure_logs(settings.log_format, settings.log_level)
    _open_as_many_files(settings.max_connections)
    # Before models are loaded, which may take long.
    certificates_of(settings)
    return uvloop.run(_serve(settings, load_models(settings)))

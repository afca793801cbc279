"""What the HTTP port answers, by the settings: probes, counts, and the page."""

import shutil
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from service.errors import InvalidSettings
from service.security.addresses import is_local
from service.security.authenticator import Authenticator
from service.settings import Settings
from service.telemetry.requests import RequestCounts
from service.web import browsers, caller_route, health, probes
from service.web.admission import Admission
from service.web.chart_library import chart_files
from service.web.gateway import Gateway
from service.web.http_server import HttpServer
from service.web.http_tls import HttpCertificate
from service.web.page_files import ROOT, PageFiles

_log = structlog.get_logger()


class HttpPort:
    """The port, from before sessions are recovered until after the last is drained.

    Attributes:
        private_target: where the server should listen for the page's calls; None without a page.
    """

    def __init__(
        self,
        settings: Settings,
        registry: CollectorRegistry,
        requests: RequestCounts,
        authenticator: Authenticator,
        is_ready: Callable[[], bool],
    ) -> None:
        """Listen.

        Raises:
            InvalidSettings: the address is none, or cannot be listened on.
        """
        address = settings.http_address
        has_metrics = _has_metrics(settings)
        self.private_target: str | None = None
        self._folder: Path | None = None
        self._gateway: Gateway | None = None
        routes = probes.routes(registry if has_metrics else None, is_ready)
        has_page = _has_page(settings, authenticator)
        if has_page:
            routes += self._page_routes(settings, registry, requests, authenticator, is_ready)
        self._server = HttpServer(address, routes, _tls(settings))
        self.address = self._server.address
        _log.info("http", address=self.address, metrics=has_metrics, page=has_page, tls=settings.http_tls)

    async def close(self) -> None:
        """Stop listening; takes up to a second."""
        if self._gateway is not None:
            await self._gateway.close()
        await self._server.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _page_routes(
        self,
        settings: Settings,
        registry: CollectorRegistry,
        requests: RequestCounts,
        authenticator: Authenticator,
        is_ready: Callable[[], bool],
    ) -> list[Route]:
        # Nobody but this process's own user may connect there: the folder's mode is 0700.
        self._folder = Path(tempfile.mkdtemp(prefix="statecast-"))
        self.private_target = f"unix:{self._folder / 'page'}"
        hosts = browsers.Hosts(settings.http_address, asks=authenticator.asks)
        admission = Admission(authenticator, hosts, requests)
        self._gateway = Gateway(
            self.private_target,
            admission,
            is_ready,
            has_operators=authenticator.has_operators,
            max_message_bytes=settings.max_message_bytes,
        )
        charts = {f"vendor/{name}": path for name, path in chart_files().items()}
        return [
            *PageFiles(ROOT, hosts, charts).routes(),
            *health.routes(registry, admission),
            *caller_route.routes(admission, has_operators=authenticator.has_operators),
            *self._gateway.routes(),
        ]


def _has_metrics(settings: Settings) -> bool:
    if settings.metrics is None:
        return settings.insecure or is_local(settings.http_address)
    return settings.metrics


def _has_page(settings: Settings, authenticator: Authenticator) -> bool:
    """Where callers of gRPC must show a certificate, which this port does not ask for, it has to be said.

    Raises:
        InvalidSettings: it was said, and others could read what it shows on its way, or ask it themselves.
    """
    is_safe = is_local(settings.http_address) or (authenticator.asks and settings.http_tls)
    if settings.page is None:
        return is_safe and settings.tls_client_ca is None
    if settings.page and not (settings.insecure or is_safe):
        raise InvalidSettings(
            f"page: other machines could reach http_address {settings.http_address}; expected --http-tls and "
            "callers who show tokens, 127.0.0.1, or --insecure where the network is trusted"
        )
    return settings.page


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.http_tls:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        raise InvalidSettings("http_tls: expected tls_cert and tls_key beside it")
    return HttpCertificate(settings.tls_cert, settings.tls_key).context

"""TLS for the HTTP port, with the certificate of the gRPC port, read again when it changes."""

import ssl
from pathlib import Path

import structlog

from service.errors import InvalidSettings

_log = structlog.get_logger()
_Stamp = tuple[tuple[int, int, int], ...]


class HttpCertificate:
    """A certificate chain and its key. Each new connection has them as they are then.

    Attributes:
        context: for the server's sockets.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        """Read both.

        Raises:
            InvalidSettings: one cannot be read, or the key is not the certificate's.
        """
        self._cert, self._key = cert, key
        self._stamp: _Stamp | None = None
        self.context = self._read()
        self._newest = self.context
        # Called in every handshake, also of those who name no server.
        self.context.sni_callback = self._handshake

    def _handshake(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Where what is new cannot be used, what there was goes on."""
        try:
            if self._look() != self._stamp:
                self._newest = self._read()
                _log.info("http certificate read again", path=str(self._cert))
        except (InvalidSettings, OSError) as error:
            _log.error("the http certificate is kept as it was", reason=str(error))
        if self._newest is not self.context:
            connection.context = self._newest

    def _look(self) -> _Stamp:
        found = [file.stat() for file in (self._cert, self._key)]
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._stamp = self._look()
            # An empty password, so that a key that wants one is refused in place of asked about.
            context.load_cert_chain(self._cert, self._key, password="")
        except (OSError, ValueError) as error:
            raise InvalidSettings(f"http_tls: tls_cert {self._cert}, tls_key {self._key}: {error}") from error
        return context

"""TLS for the HTTP port, with the certificate of the gRPC port, read again when it changes."""

import ssl
from pathlib import Path

from service.errors import InvalidSettings
from service.reread_files import RereadFiles


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
        self._files = RereadFiles("http certificate", [cert, key], self._read)
        self.context = self._files.content
        # Called in every handshake, also of those who name no server.
        self.context.sni_callback = self._handshake

    def _handshake(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Where what is new cannot be used, what there was goes on."""
        self._files.have_changed()
        if self._files.content is not self.context:
            connection.context = self._files.content

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # An empty password, so that a key that wants one is refused in place of asked about.
            context.load_cert_chain(self._cert, self._key, password="")
        except (OSError, ValueError) as error:
            raise InvalidSettings(f"http_tls: tls_cert {self._cert}, tls_key {self._key}: {error}") from error
        return context

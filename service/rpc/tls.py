"""TLS for the gRPC port: certificates are files, read again when they change."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc
import structlog

from service.errors import InvalidSettings

_log = structlog.get_logger()
_Stamp = tuple[tuple[int, int, int], ...]


class Certificates:
    """The server's certificate and key, and the authorities that sign callers' certificates.

    gRPC asks with every new connection; those there are stay as they were made.
    """

    def __init__(self, cert: Path, key: Path, client_ca: Path | None) -> None:
        """Read the files.

        Raises:
            InvalidSettings: one cannot be read, or the key is not the certificate's.
        """
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._failed: _Stamp | None = None
        self._stamp = self._look()
        self._first = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """For a port; where there are authorities, callers must show a certificate of theirs."""
        # None for "as before", which the types of grpc-stubs leave out.
        changed = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._changed)
        return grpc.dynamic_ssl_server_credentials(
            self._first, changed, require_client_authentication=self._client_ca is not None
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Called on gRPC's threads. Where what is new cannot be used, what there is goes on."""
        stamp = None
        try:
            stamp = self._look()
            if stamp in (self._stamp, self._failed):
                return None
            read = self._read()
        except InvalidSettings as error:
            # Said once, not with each connection.
            if stamp is None or stamp != self._failed:
                _log.error("the certificate is kept as it was", reason=str(error))
            self._failed = stamp
            return None
        self._stamp, self._failed = stamp, None
        _log.info("certificate read again", path=str(self._cert))
        return read

    def _look(self) -> _Stamp:
        files = [self._cert, self._key, *([self._client_ca] if self._client_ca else [])]
        try:
            found = [file.stat() for file in files]
        except OSError as error:
            raise InvalidSettings(f"tls: cannot read {error.filename}: {error.strerror}") from error
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        # gRPC takes any bytes, and then turns every connection away.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # An empty password, so that a key that wants one is refused in place of asked about.
            context.load_cert_chain(self._cert, self._key, password="")
        except (OSError, ValueError) as error:
            expected = "a PEM certificate chain and its key without a password"
            raise InvalidSettings(
                f"tls_cert {self._cert}, tls_key {self._key}: expected {expected}: {error}"
            ) from error
        authorities = None
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
                authorities = self._client_ca.read_bytes()
            except (OSError, ValueError) as error:
                expected = "PEM certificates of authorities"
                raise InvalidSettings(
                    f"tls_client_ca {self._client_ca}: expected {expected}: {error}"
                ) from error
        pair = (self._key.read_bytes(), self._cert.read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], authorities)

"""TLS for the gRPC port: certificates are files, read again when they change."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc

from service.errors import InvalidSettings
from service.reread_files import RereadFiles


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
        paths = [cert, key, *([client_ca] if client_ca else [])]
        self._files = RereadFiles("certificate", paths, self._read)

    def credentials(self) -> grpc.ServerCredentials:
        """For a port; where there are authorities, callers must show a certificate of theirs."""
        # None for "as before", which the types of grpc-stubs leave out.
        changed = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._changed)
        return grpc.dynamic_ssl_server_credentials(
            self._files.content, changed, require_client_authentication=self._client_ca is not None
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Called on gRPC's threads. Where what is new cannot be used, what there is goes on."""
        return self._files.content if self._files.have_changed() else None

    def _read(self) -> grpc.ServerCertificateConfiguration:
        pair = _bytes_of(self._key), _bytes_of(self._cert)
        authorities = None if self._client_ca is None else _bytes_of(self._client_ca)
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
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
            except (OSError, ValueError) as error:
                expected = "PEM certificates of authorities"
                raise InvalidSettings(
                    f"tls_client_ca {self._client_ca}: expected {expected}: {error}"
                ) from error
        return grpc.ssl_server_certificate_configuration([pair], authorities)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidSettings(f"tls: cannot read {path}: {error.strerror}") from error

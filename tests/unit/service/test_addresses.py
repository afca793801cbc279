"""Which addresses only this machine can reach."""

import pytest

from service.errors import InvalidSettings
from service.security.addresses import check_exposure, is_local

LOCAL = ["127.0.0.1:50051", "127.8.9.1:0", "[::1]:50051", "localhost:50051", "unix:/run/statecast.sock"]
PUBLIC = ["0.0.0.0:50051", "[::]:50051", ":50051", "10.0.0.1:1", "192.0.2.1:0", "absent.invalid:50051", "*:1"]


@pytest.mark.parametrize("address", LOCAL)
def test_loopback_addresses_need_no_tls(address):
    """By number, by name, or a socket of the file system."""
    assert is_local(address)
    check_exposure(address, has_tls=False, insecure=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_other_addresses_need_tls_or_a_word(address):
    """Every address of the machine, one of a network, or a name that means nothing here."""
    assert not is_local(address)
    with pytest.raises(InvalidSettings, match="--insecure"):
        check_exposure(address, has_tls=False, insecure=False)
    check_exposure(address, has_tls=True, insecure=False)
    check_exposure(address, has_tls=False, insecure=True)

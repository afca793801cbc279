"""A server's HTTP port, as its tests read it."""

import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

FLAGS = ("--http-address", "127.0.0.1:0")


def address_of(server):
    """Its real address, from the server's log."""
    (address,) = (line["address"] for line in server.log if line["event"] == "http")
    return address


def fetch(address, path):
    """Status and text of an answer."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(server):
    """Every number of `/metrics`."""
    status, text = fetch(address_of(server), "/metrics")
    assert status == 200, text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def family(server, name):
    """The numbers of one name in `/metrics`, by their labels' values."""
    return {tuple(sample.labels.values()): sample.value for sample in samples(server) if sample.name == name}

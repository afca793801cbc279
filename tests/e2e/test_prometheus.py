"""What is shipped for Prometheus and Grafana, checked by promtool and tried by a real Prometheus."""

import json
import re
import shutil
import subprocess
import time
import urllib.parse
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml

import statecast
from tests.chaos.fleet import free_port
from tests.http_port import FLAGS, address_of, fetch, samples
from tests.missing import missing
from tests.server_process import serving

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "statecast.json"
_READY_S = 60.0
# Made by the scrape, or read from /proc where there is one.
_NOT_OURS = {"up"}
_METRIC = re.compile(r"\b(?:statecast|process)_[a-z_]+")


def _program(name):
    found = shutil.which(name)
    if found is None:
        missing(f"no {name} here: Debian's package prometheus has it")
    return found


def _promtool(*arguments, cwd=RULES.parent):
    done = subprocess.run(
        [_program("promtool"), *arguments], cwd=cwd, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _panel_expressions():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def _rules():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def server(repository, tmp_path_factory):
    """One that has been used in each way that is counted."""
    flags = (*FLAGS, "--store", "sqlite:", "--data-dir", str(tmp_path_factory.mktemp("data")))
    with serving(repository, *flags) as running, statecast.Client(running.address) as client:
        client.session("gru", "one").forecast(np.ones(3))
        yield running


def test_configuration_and_rules_are_well_formed():
    """Promtool reads them."""
    _promtool("check", "config", "prometheus.yml")
    _promtool("check", "rules", "--lint-fatal", "rules.yml")


def test_each_alert_fires_when_it_should_and_only_then():
    """On made-up series, all of which rules-test.yml lists; no alert is left out there."""
    _promtool("test", "rules", "rules-test.yml")
    tried = (RULES.parent / "rules-test.yml").read_text()
    for rule in _rules():
        assert "alert" not in rule or f'alertname="{rule["alert"]}"' in tried


def test_every_panel_of_the_dashboard_is_an_expression(tmp_path):
    """As Grafana would send it."""
    expressions = [
        re.sub(r"\$__rate_interval", "1m", expression).replace("$job", "statecast").replace("$model", ".*")
        for expression in _panel_expressions()
    ]
    assert len(expressions) > 20
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    _promtool("check", "rules", "panels.yml", cwd=tmp_path)


def test_every_name_in_rules_and_panels_is_one_that_the_server_tells(server):
    """A metric that is renamed takes its panels and alerts along."""
    told = {sample.name for sample in samples(server)}
    told |= {rule["record"] for rule in _rules() if "record" in rule}
    asked = {
        name
        for expression in [*_panel_expressions(), *(rule["expr"] for rule in _rules())]
        for name in _METRIC.findall(expression)
    }
    assert len(asked) > 20
    assert asked <= told


def test_prometheus_fetches_a_server_and_evaluates_the_rules(server, tmp_path):
    """The shipped configuration, another target and a shorter interval."""
    with _prometheus(address_of(server), tmp_path) as address:
        ready = _until(lambda: _query(address, "statecast_ready"))
        assert ready["value"][1] == "1"
        rows = _until(lambda: _query(address, 'statecast_rows_applied_total{model="gru"}'))
        assert rows["value"][1] == "3"
        assert rows["metric"]["job"] == "statecast"

        def all_evaluated():
            groups = json.loads(fetch(address, "/api/v1/rules")[1])["data"]["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            return rules if all(rule["health"] != "unknown" for rule in rules) else None

        rules = _until(all_evaluated)
        assert len(rules) == len(_rules())
        assert {rule["health"] for rule in rules} == {"ok"}, [rule.get("lastError") for rule in rules]


@contextmanager
def _prometheus(target, folder):
    text = (RULES.parent / "prometheus.yml").read_text().replace("15s", "1s")
    shipped = yaml.safe_load(text)
    (job,) = shipped["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [target]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(shipped))
    shutil.copy(RULES, folder)
    address = f"127.0.0.1:{free_port()}"
    options = (f"--web.listen-address={address}", f"--storage.tsdb.path={folder / 'data'}")
    process = subprocess.Popen(
        [_program("prometheus"), "--config.file=prometheus.yml", "--log.level=error", *options], cwd=folder
    )
    try:
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _query(address, expression):
    _, text = fetch(address, f"/api/v1/query?query={urllib.parse.quote(expression)}")
    results = json.loads(text)["data"]["result"]
    return results[0] if results else None


def _until(look):
    """What `look` finds, asked again until it finds something; a server that is not up yet is asked again."""
    give_up = time.monotonic() + _READY_S
    while True:
        try:
            if found := look():
                return found
        except (OSError, ValueError):
            pass
        assert time.monotonic() < give_up

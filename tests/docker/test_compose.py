"""The compose files: valid by the Compose specification, closed to the outside, in step with the application."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from streams.cli.main import COMMANDS
from streams.settings import Settings

DOCKER = Path(__file__).resolve().parents[2] / "docker"
ROOT = DOCKER.parent
FILES = ("compose.yaml", "compose.gpu.yaml")
# a name without a registry's host, and a tag that names at least a minor version
PINNED = re.compile(r"(?:[a-z0-9-]+/)?[a-z0-9-]+:v?\d+\.\d+(?:\.\d+)?(?:-[a-z]+)*")


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load((DOCKER / name).read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = load("compose.yaml")["services"]
    return found


@pytest.mark.parametrize("name", FILES)
def test_valid_by_the_compose_specification(name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DOCKER / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_belongs_to_it(services: dict[str, Any]) -> None:
    assert set(services) == {"kafka", "topics", "worker", "prometheus", "alertmanager", "grafana"}
    assert set(load("compose.gpu.yaml")["services"]) <= set(services)


def test_published_on_this_machine_alone(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert len(ports) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_images_are_pinned_or_built_here(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if "build" in service:
            assert (ROOT / "docker" / service["build"]["context"]).resolve() == ROOT, name
            assert (ROOT / service["build"]["dockerfile"]).is_file(), name
        else:
            assert PINNED.fullmatch(service["image"]), service["image"]


def test_kafka_is_the_version_that_is_embedded(services: dict[str, Any]) -> None:
    jars = (ROOT / "streams" / "kafka" / "jars.txt").read_text(encoding="utf-8")
    version = re.search(r"org\.apache\.kafka:kafka-server:([\d.]+)", jars)
    assert version is not None
    assert services["kafka"]["image"] == f"apache/kafka:{version[1]}"


def test_targets_exist() -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (DOCKER / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    for name in FILES:
        for service in load(name)["services"].values():
            if "build" in service:
                assert service["build"]["target"] in stages


def test_mounted_files_exist_and_volumes_are_declared(services: dict[str, Any]) -> None:
    declared = set(load("compose.yaml")["volumes"])
    used = set()
    for service in services.values():
        for volume in service.get("volumes", ()):
            source, _, target = volume.partition(":")
            if not target:  # a volume of each container's own
                assert source == "/var/lib/streamgauge"
            elif source.startswith("."):
                assert (DOCKER / source).is_dir(), volume
                assert target.endswith(":ro"), volume
            else:
                used.add(source)
    assert used == declared


@pytest.mark.parametrize("name", ["topics", "worker"])
def test_settings_are_ones_that_exist(
    services: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = services[name]["environment"] | load("compose.gpu.yaml")["services"][name].get("environment", {})
    assert all(key.startswith("STREAMGAUGE_") for key in environment)
    for key in [key for key in os.environ if key.startswith("STREAMGAUGE_")]:
        monkeypatch.delenv(key)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    settings = Settings()
    assert settings.kafka.bootstrap_servers == "kafka:19092"
    assert settings.topics.replication == 1
    assert settings.metrics_host == "0.0.0.0"
    given = {key.removeprefix("STREAMGAUGE_").split("__")[0].lower() for key in environment}
    assert given <= settings.model_fields_set


@pytest.mark.parametrize("name", ["topics", "worker"])
def test_commands_exist(services: dict[str, Any], name: str) -> None:
    assert " ".join(services[name]["command"]) in {command.words for command in COMMANDS}


@pytest.mark.parametrize("name", ["topics", "worker"])
def test_ours_have_no_rights_that_they_do_not_need(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged", False)


def test_the_worker_waits_for_kafka_and_the_topics(services: dict[str, Any]) -> None:
    assert services["worker"]["depends_on"] == {
        "kafka": {"condition": "service_healthy"},
        "topics": {"condition": "service_completed_successfully"},
    }
    assert all("test" in services[name]["healthcheck"] for name in set(services) - {"topics"})


def test_the_metrics_port_is_the_applications(services: dict[str, Any]) -> None:
    port = Settings.model_fields["metrics_port"].default
    assert [mapping.rpartition(":")[2] for mapping in services["worker"]["ports"]] == [str(port)]


def test_no_password_is_in_the_files(services: dict[str, Any]) -> None:
    grafana = services["grafana"]["environment"]
    assert grafana["GF_SECURITY_ADMIN_PASSWORD"].startswith("${GRAFANA_ADMIN_PASSWORD:?")
    assert grafana["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    for name, service in services.items():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN", key):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), (name, key)

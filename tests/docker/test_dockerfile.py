"""The Dockerfile: what can be said of it without an engine that builds it."""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from streams.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"


@dataclass(frozen=True)
class Stage:
    name: str
    base: str
    instructions: tuple[tuple[str, str], ...]

    def last(self, keyword: str) -> str | None:
        return next((text for word, text in reversed(self.instructions) if word == keyword), None)


@pytest.fixture(scope="module")
def text() -> str:
    return DOCKERFILE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def stages(text: str) -> dict[str, Stage]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found: list[tuple[str, str, list[tuple[str, str]]]] = []
    for line in lines.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        rest = " ".join(rest.split())
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append((name, base, []))
        elif word and found:
            found[-1][2].append((word, rest))
    return {name: Stage(name, base, tuple(instructions)) for name, base, instructions in found}


def lineage(stages: dict[str, Stage], name: str) -> list[Stage]:
    """The stage and those it is built on, nearest first."""
    chain = []
    while name in stages:
        chain.append(stages[name])
        name = stages[name].base
    return chain


def inherited(stages: dict[str, Stage], name: str, keyword: str) -> str | None:
    return next((text for stage in lineage(stages, name) if (text := stage.last(keyword)) is not None), None)


def test_targets(stages: dict[str, Stage]) -> None:
    assert {"cpu", "gpu"} <= set(stages)
    assert list(stages)[-1] == "cpu"  # what a build without --target makes


def test_outside_images_are_pinned_and_name_no_registry(text: str, stages: dict[str, Stage]) -> None:
    bases = {stage.base for stage in stages.values()} - set(stages)
    assert bases == {"python:${PYTHON_VERSION}-slim-bookworm"}
    assert re.search(r"^ARG PYTHON_VERSION=3\.\d+$", text, re.MULTILINE)
    assert "latest" not in text
    assert "://" not in text


def test_python_is_one_that_the_project_supports(text: str) -> None:
    version = re.search(r"^ARG PYTHON_VERSION=3\.(\d+)$", text, re.MULTILINE)
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    limits = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", wanted)
    assert version is not None
    assert limits is not None
    assert int(limits[1]) <= int(version[1]) < int(limits[2])


@pytest.mark.parametrize("target", ["cpu", "gpu"])
class TestTarget:
    def test_runs_as_a_number_that_is_not_root(self, stages: dict[str, Stage], target: str) -> None:
        user = inherited(stages, target, "USER")
        assert user is not None
        uid, _, gid = user.partition(":")
        assert int(uid) > 0
        assert int(gid) > 0

    def test_starts_the_command_without_a_shell(self, stages: dict[str, Stage], target: str) -> None:
        assert json.loads(inherited(stages, target, "ENTRYPOINT") or "") == ["streamgauge"]
        assert json.loads(inherited(stages, target, "CMD") or "") == ["run"]
        assert inherited(stages, target, "STOPSIGNAL") == "SIGTERM"

    def test_health_is_asked_of_the_script_that_is_there(self, stages: dict[str, Stage], target: str) -> None:
        check = inherited(stages, target, "HEALTHCHECK") or ""
        python, script, path = json.loads(check.partition("CMD ")[2])
        assert (python, path) == ("python", "/live")
        copies = [text for stage in lineage(stages, target) for word, text in stage.instructions if word == "COPY"]
        assert f"docker/healthcheck.py {script}" in copies

    def test_state_and_cache_are_volumes_that_the_application_uses(
        self, stages: dict[str, Stage], target: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for key in [key for key in os.environ if key.startswith("STREAMGAUGE_")]:
            monkeypatch.delenv(key)
        given = dict(re.findall(r"(STREAMGAUGE_\w+)=(\S+)", inherited_env(stages, target)))
        for key, value in given.items():
            monkeypatch.setenv(key, value)
        settings = Settings()
        volumes = json.loads(inherited(stages, target, "VOLUME") or "")
        assert [str(settings.state_dir), str(settings.cache_dir)] == volumes
        assert settings.metrics_host == "127.0.0.1"  # who opens it says so
        assert {key.removeprefix("STREAMGAUGE_").lower() for key in given} == settings.model_fields_set

    def test_open_container_labels(self, stages: dict[str, Stage], target: str) -> None:
        labels = inherited(stages, target, "LABEL") or ""
        for name in ("title", "description", "licenses", "version", "revision"):
            assert f"org.opencontainers.image.{name}=" in labels

    def test_dependencies_honour_the_constraints(self, stages: dict[str, Stage], target: str) -> None:
        runs = [text for word, text in stages[f"dependencies-{target}"].instructions if word == "RUN"]
        installs = [part for run in runs for part in re.split("&&|;", run) if "pip install" in part]
        assert installs
        assert all("--constraint constraints.txt" in install for install in installs)


def inherited_env(stages: dict[str, Stage], name: str) -> str:
    return " ".join(text for stage in lineage(stages, name) for word, text in stage.instructions if word == "ENV")


def test_the_index_of_torch_is_pypi_unless_given(stages: dict[str, Stage]) -> None:
    assert ("ARG", 'TORCH_INDEX_URL=""') in stages["dependencies-cpu"].instructions


def test_the_port_is_the_applications(stages: dict[str, Stage]) -> None:
    assert inherited(stages, "cpu", "EXPOSE") == str(Settings.model_fields["metrics_port"].default)


def test_the_version_is_the_projects(text: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"ARG VERSION={project['version']}\n" in text
    assert f'description="{project["description"]}"' in text


def test_what_is_copied_exists_and_is_sent_to_the_builder(stages: dict[str, Stage]) -> None:
    lines = (ROOT / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    assert rules[0] == "*"
    copied = set()
    for stage in stages.values():
        for word, rest in stage.instructions:
            if word == "COPY" and not rest.startswith("--from="):
                copied |= set(rest.split()[:-1])
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)


def test_the_whole_wheel_is_copied(stages: dict[str, Stage]) -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    copied = {rest.split()[0] for word, rest in stages["wheel"].instructions if word == "COPY"}
    assert set(tool["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied

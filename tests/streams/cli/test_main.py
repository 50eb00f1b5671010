from __future__ import annotations

import importlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from streams.cli.main import COMMANDS
from streams.cli.options import load_settings
from streams.cli.settings_errors import check_names
from tests.kafka_tools import make_topic, wait_until
from tests.streams.cli.conftest import Run


def test_help_names_every_command_and_loads_none_of_them() -> None:
    code = (
        "import sys; from streams.cli.main import main\n"
        "try: main(['--help'])\n"
        "finally: print(sorted({'torch', 'faust', 'kafka', 'numpy', 'pydantic'} & sys.modules.keys()), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"
    for command in COMMANDS:
        assert re.search(rf"\b{command.words.split()[0]}\b", run.stdout)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.words)
def test_every_command_explains_itself(streamgauge: Run, command: object) -> None:
    assert hasattr(command, "words")
    code, out, _ = streamgauge(*command.words.split(), "--help")
    assert code == 0
    assert "Usage" in out


def test_every_command_has_a_docstring() -> None:
    for command in COMMANDS:
        assert getattr(importlib.import_module(command.module), command.function).__doc__


def test_version(streamgauge: Run) -> None:
    code, out, _ = streamgauge("--version")
    assert code == 0
    assert re.fullmatch(r"streamgauge \d+\.\d+\.\d+\S*\n", out)


@pytest.mark.parametrize("arguments", [["nonsense"], ["broker", "--port", "x"], ["send"], ["topics", "nonsense"]])
def test_bad_usage_is_exit_code_2(streamgauge: Run, arguments: list[str]) -> None:
    code, out, err = streamgauge(*arguments)
    assert code == 2
    assert "Usage: streamgauge" in err
    assert out == ""


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["evaluate", "dup"], "No such command 'dup'. Did you mean 'duplicates'?"),
        (["evaluate", "m"], "No such command 'm'. Did you mean 'matcher'?"),
        (["re"], "No such command 're'. Did you mean 'replay', 'rebuild'?"),
        (["evaluate", "duplicate"], "No such command 'duplicate'. Did you mean 'duplicates'?"),
        (["doctr"], "No such command 'doctr'. Did you mean 'doctor'?"),
        (["evaluate", "nonsense"], "No such command 'nonsense'."),
    ],
)
def test_a_mistyped_command_is_told_what_was_meant(streamgauge: Run, arguments: list[str], meant: str) -> None:
    code, out, err = streamgauge(*arguments)
    assert (code, out) == (2, "")
    assert re.search(rf"{re.escape(meant)} *│", err)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no settings file"),
        ("app_id = ", "is no TOML"),
        ("batch_records = 0", "The setting batch_records in .* must be at least 1"),
        ('batch_records = "many"', "The setting batch_records in .* must be a whole number"),
        ('encoder = "best"', "The setting encoder in .* must be 'auto', 'static' or 'transformer'"),
        ("nonsense = 1", r"There is no setting nonsense, as .* has it\.\nSettings there: allow_download, "),
        ("batch_record = 7", r"There is no setting batch_record, as .*\nDid you mean batch_records\\?"),
        ('bootstrap_server = "x"', r"no setting bootstrap_server, .*\nDid you mean bootstrap_servers under \[kaf"),
        ('[kafka]\nbootstrap_server = "x"', r"no setting kafka\.bootstrap_server.*\nDid you mean bootstrap_servers\?"),
        ('[product]\na = "b.yaml"', r"There is no setting product, .*\nDid you mean \[products\]\?"),
        ('[products]\na = "b.yaml"\nbatch_records = 7', r"batch_records stands under \[products\] .*\n.* above the"),
        ('[products]\nencoder = "static"', r"encoder stands under \[products\] in .*, where TOML takes it for a topic"),
        ("[kafka]\nbatch_records = 7", r"batch_records stands under \[kafka\] .*\nPut it above the first \[table\]"),
        ('[products]\n"a" = 7', "The setting products.a in .* must be the path of a file"),
        ('[auto_apply]\n"price.scal" = 0.9', r"names the rule 'price\.scal', .*\nDid you mean 'price\.scale'"),
        ('[kafka]\nsecurity_protocol = "SASL_SSL"', "needs sasl_username and sasl_password"),
    ],
)  # fmt: skip
def test_wrong_settings_are_one_sentence(streamgauge: Run, tmp_path: Path, text: str | None, message: str) -> None:
    config = tmp_path / "settings.toml"
    if text is not None:
        config.write_text(text)
    code, out, err = streamgauge("topics", "list", "--config", config)
    assert (code, out) == (1, "")
    assert re.match(rf"Error: .*{message}", err)
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 2


def test_a_missing_broker_is_one_sentence_and_a_next_step(streamgauge: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{unused.getsockname()[1]}"
        for command in (["topics", "create"], ["topics", "list"], ["replay"], ["send", tmp_path / "a.csv", "-t", "x"]):
            code, out, err = streamgauge(*command, "--bootstrap-servers", server)
            assert (code, out) == (1, "")
            assert err.splitlines() == [
                f"Error: Kafka cannot be reached: nothing listens at {server}.",
                "Start it (`streamgauge broker` runs one here), or name another with --bootstrap-servers.",
            ]


def test_a_topic_may_be_called_like_a_setting(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text('[products]\nproducts = "products.yaml"\n"shop.encoder" = "b.yaml"\n')
    check_names(file)


def test_misspelt_names_in_the_environment(streamgauge: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    unused = ("topics", "list", "--bootstrap-servers", "127.0.0.1:1")
    monkeypatch.setenv("STREAMGAUGE_PORT_9464_TCP_ADDR", "10.0.0.1")  # as Kubernetes sets it
    monkeypatch.setenv("STREAMGAUGE_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("STREAMGAUGE_PRODUCTS__SHOP", "a.yaml")
    monkeypatch.setenv("STREAMGAUGE_FOO", "1")
    err = streamgauge(*unused)[2].splitlines()
    assert err[0] == "STREAMGAUGE_FOO in the environment is no setting; it is not used."
    assert err[1].startswith("Error: Kafka cannot be reached")
    monkeypatch.setenv("STREAMGAUGE_BATCH_RECORD", "7")
    assert streamgauge(*unused)[2].splitlines() == [
        "Error: STREAMGAUGE_BATCH_RECORD in the environment is no setting.",
        "Did you mean STREAMGAUGE_BATCH_RECORDS?",
    ]


def test_settings_of_the_current_folder(streamgauge: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "streamgauge.toml").write_text('[kafka]\nbootstrap_servers = "127.0.0.1:1"\n')
    (tmp_path / "other.toml").write_text('[kafka]\nbootstrap_servers = "127.0.0.1:2"\n')
    monkeypatch.chdir(tmp_path)
    err = streamgauge("topics", "list")[2].splitlines()
    assert err[0] == "Settings are those of streamgauge.toml in this folder."
    assert "127.0.0.1:1." in err[1]
    assert "nothing listens at 127.0.0.1:2." in streamgauge("topics", "list", "--config", "other.toml")[2]
    assert load_settings(look=False).kafka.bootstrap_servers == "127.0.0.1:9092"


@pytest.mark.kafka
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_broker_prints_its_address_and_stops(kafka_servers: str, tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", "from streams.cli.main import main; main()"]
    arguments = ["broker", "--data", str(tmp_path / "data"), "--port", "0"]
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert re.fullmatch(r"127\.0\.0\.1:\d+\n", run.stdout.readline())
        children = psutil.Process(run.pid).children(recursive=True)
        assert children
        run.send_signal(number)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 0
    assert "Kafka is stopped." in err
    assert "Traceback" not in err
    assert not any(child.is_running() for child in children)
    assert (tmp_path / "data" / "data1").is_dir()


@pytest.mark.kafka
def test_ctrl_c_is_exit_code_130(kafka_servers: str, topic_prefix: str, tmp_path: Path) -> None:

    topic = make_topic(kafka_servers, topic_prefix + "slow")
    (tmp_path / "a.csv").write_text("id\n" + "1\n" * 1000)
    command = [sys.executable, "-c", "from streams.cli.main import main; main()", "send", str(tmp_path / "a.csv")]
    options = ["-t", topic, "--rate", "50/s", "--bootstrap-servers", kafka_servers]
    environment = {**os.environ, "STREAMGAUGE_STATE_DIR": str(tmp_path / "state")}
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True, env=environment) as run:
        state = tmp_path / "state" / "send"
        assert wait_until(lambda: state.is_dir() and any(state.glob("*.json")))
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "--resume goes on" in err
    assert "Traceback" not in err

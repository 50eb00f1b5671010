from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from streams.settings import Settings


def test_environment_overrides_file_and_secret_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        'app_id = "from-file"\nbatch_records = 7\n[kafka]\nbootstrap_servers = "b:9"\n[products]\np = "c.yaml"\n'
    )
    monkeypatch.setenv("STREAMGAUGE_APP_ID", "from-env")
    monkeypatch.setenv("STREAMGAUGE_KAFKA__SASL_PASSWORD", "geheim")
    settings = Settings.from_file(file)
    assert (settings.app_id, settings.batch_records, settings.kafka.bootstrap_servers) == ("from-env", 7, "b:9")
    assert settings.products == {"p": tmp_path / "c.yaml"}
    assert "geheim" not in repr(settings)
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == "geheim"


def test_paths_in_a_file_are_seen_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "s.toml").write_text(
        'app_id = "a/b"\nstate_dir = "state"\ncache_dir = "~/cache"\nmatcher_model = "../matcher"\n'
        'encoder_path = "/e5"\n[kafka]\nssl_ca_file = "ca.pem"\n[products]\np = "c.yaml"\nq = "c.yaml"\n'
    )
    monkeypatch.setenv("HOME", "/home/shop")
    monkeypatch.setenv("STREAMGAUGE_ANOMALY_MODEL", "anomalies")
    monkeypatch.setenv("STREAMGAUGE_PRODUCTS", '{"q": "own.yaml"}')
    for start, file in ((tmp_path, Path("conf/s.toml")), (tmp_path / "conf", Path("s.toml"))):
        monkeypatch.chdir(start)
        settings, folder = Settings.from_file(file), file.parent
        assert (settings.app_id, settings.state_dir, settings.kafka.ssl_ca_file) == (
            "a/b",
            folder / "state",
            folder / "ca.pem",
        )
        assert (settings.cache_dir, settings.encoder_path) == (Path("/home/shop/cache"), Path("/e5"))
        assert settings.matcher_model == folder / ".." / "matcher"
        assert settings.anomaly_model == Path("anomalies")
        assert settings.products == {"p": folder / "c.yaml", "q": Path("own.yaml")}


@pytest.mark.parametrize("text", ["app_id = {a = 1}", "kafka = 1", "[kafka]\nssl_ca_file = {a = 1}", "products = 3"])
def test_what_is_no_path_is_left_to_the_check(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ValidationError):
        Settings.from_file(tmp_path / "s.toml")


def test_sasl_without_password_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs sasl_username and sasl_password"):
        Settings(kafka={"security_protocol": "SASL_SSL"})  # type: ignore[arg-type]  # as a settings file gives it


def test_unknown_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("batch_record = 7\n")
    with pytest.raises(ValidationError, match="batch_record"):
        Settings.from_file(file)


def test_who_names_products_has_no_behaviors_that_nobody_named() -> None:
    assert Settings().behaviors == {"behaviors": None}
    assert Settings(products={"shop.products": None}).behaviors == {}
    both = Settings(products={"p": None}, behaviors={"b": None})
    assert (set(both.products), set(both.behaviors)) == ({"p"}, {"b"})


def test_a_topic_to_re_key_must_be_a_product_topic() -> None:
    with pytest.raises(ValidationError, match=r"rekey names 'shop\.foo'"):
        Settings(rekey=frozenset({"shop.foo"}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"products": {"shop": None}, "behaviors": {"shop": None}}, "'shop' is named under products and under behavio"),
        ({"products": {"dead-letters": None}}, "'dead-letters' is named as a source, and it is a topic that we write"),
        ({"products": {"p": None, "p.corrected": None}}, r"'p\.corrected' is named as a source"),
        ({"kafka": {"bootstrap_servers": " ,"}}, "bootstrap_servers names no broker"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(**settings)

from __future__ import annotations

from pathlib import Path

import pytest

from customhouse.contracts.errors import ConfigurationError
from workers.settings import PREFIX, Settings, load_settings, unknown_variables, variable


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)


def test_defaults_need_no_variable() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 8080, Path(".customhouse"))
    assert settings.admin_key is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PORT", "eighty", "CUSTOMHOUSE_PORT=eighty: input should be a valid integer"),
        ("PORT", "70000", "less than or equal to 65535"),
        ("LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("TEMPORAL_ADDRESS", "http://temporal", "has the wrong form. Wanted: Temporal's frontend, `host:port`"),
        ("DATABASE_URL", "mysql://root@db/x", "is not a Postgres URL"),
        ("OTLP_HEADERS", "just-a-token", "is not a list of name=value"),
        ("OTLP_ENDPOINT", "collector:4317", "has the wrong form"),
        ("MAX_BODY_MB", "-1", "greater than 0"),
        ("ADMIN_KEY", "two words", "holds characters that an HTTP header cannot carry"),
        ("PII_ACTION", "review", "allow, redact or block"),
    ],
)
def test_bad_value_is_one_line_with_variable_and_mend(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    message = caught.value.message
    assert message.startswith(PREFIX + name)
    assert says in message
    assert "Wanted: " in message
    assert "\n" not in message


def test_secrets_are_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTOMHOUSE_ADMIN_KEY", "hush hush")
    monkeypatch.setenv("CUSTOMHOUSE_DATABASE_URL", "mysql://root:hush@db/x")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "hush" not in caught.value.message
    assert caught.value.__cause__ is None


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(load_settings(admin_key="hush-hush"))


def test_several_bad_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTOMHOUSE_PORT", "0")
    monkeypatch.setenv("CUSTOMHOUSE_SANDBOX", "perhaps")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert [line.split("=")[0] for line in caught.value.message.splitlines()] == [
        "CUSTOMHOUSE_PORT",
        "CUSTOMHOUSE_SANDBOX",
    ]


def test_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTOMHOUSE_CATALOG", "")
    monkeypatch.setenv("CUSTOMHOUSE_ENCRYPTION_KEY", "")
    assert load_settings().catalog is None
    assert load_settings().encryption_key is None


def test_collector_headers() -> None:
    assert load_settings(otlp_headers="a=1, b = x=y,").otlp_header_map == {"a": "1", "b": "x=y"}
    assert load_settings().otlp_header_map == {}


def test_every_setting_is_described() -> None:
    missing = [name for name, field in Settings.model_fields.items() if not field.description]
    assert missing == []


def test_unknown_variables_are_found_with_what_was_meant() -> None:
    environ = {"CUSTOMHOUSE_PROT": "1", "CUSTOMHOUSE_XYZZY": "1", "CUSTOMHOUSE_PORT": "1", "CUSTOMHOUSE_OPENAI": "k"}
    assert unknown_variables(environ, known=["CUSTOMHOUSE_OPENAI"]) == {
        "CUSTOMHOUSE_PROT": "CUSTOMHOUSE_PORT",
        "CUSTOMHOUSE_XYZZY": None,
    }

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

import customhouse
from customhouse.contracts.catalog import Capability
from customhouse.contracts.errors import ConfigurationError
from customhouse.governance.catalog import enabled, parse_catalog

AGREED = """
providers:
  - {name: mock, kind: openai, base_url: "http://127.0.0.1:9100/v1", api_key_env: MOCK_KEY}
deployments:
  - {model: mock-model, provider: mock, region: eu, context_window: 32768,
     price: {input_per_mtok: 1.0, output_per_mtok: 2.0}}
"""


def test_the_agreed_form_loads_as_is() -> None:
    catalog = parse_catalog(AGREED, "catalog.yaml", {})
    deployment = catalog.deployments[0]
    assert deployment.id == "mock-model@mock@eu"
    assert deployment.price is not None
    assert deployment.price.output_per_mtok == Decimal("2.0")
    assert str(catalog.provider("mock").base_url) == "http://127.0.0.1:9100/v1"
    assert enabled(catalog, {}) is catalog


def default_catalog() -> str:
    return (Path(customhouse.__file__).parent / "default_catalog.yaml").read_text()


def test_the_default_catalog_serves_what_is_set_up() -> None:
    def models(environ: dict[str, str]) -> set[str]:
        return {
            deployment.provider
            for deployment in enabled(parse_catalog(default_catalog(), "default", environ), environ).deployments
        }

    assert models({}) == set()
    assert models({"CUSTOMHOUSE_MODEL_PORT": "8099"}) == {"local"}
    assert models({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}) == {"openai", "anthropic"}


def test_the_default_catalog_knows_the_local_model() -> None:
    environ = {"CUSTOMHOUSE_MODEL_PORT": "8099"}
    catalog = parse_catalog(default_catalog(), "default", environ)
    assert str(catalog.provider("local").base_url) == "http://127.0.0.1:8099/v1"
    local = catalog.deployment("smollm2-135m@local@local")
    assert local is not None
    assert local.capabilities == {Capability.JSON_SCHEMA, Capability.STREAMING}


def fault(text: str, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_catalog(text, "c.yaml", environ)
    return caught.value.message


def test_every_fault_is_named_by_line_and_field() -> None:
    lines = fault(
        """providers:
  - {name: mock, kind: openaix, base_url: "http://h/v1"}
  - name: other
    kind: openai
deployments:
  - model: m
    provider: mock
    context_window: -3
    colour: red
    price:
      input_per_mtok: free
"""
    ).splitlines()
    assert [line.split(": ")[:2] for line in lines[1:]] == [
        ["c.yaml:2", "providers[0].kind"],
        ["c.yaml:3", "providers[1].base_url"],
        ["c.yaml:8", "deployments[0].context_window"],
        ["c.yaml:9", "deployments[0].colour"],
        ["c.yaml:10", "deployments[0].price.output_per_mtok"],
        ["c.yaml:11", "deployments[0].price.input_per_mtok"],
    ]


def test_names_must_be_unique_and_known() -> None:
    message = fault(
        """providers:
  - {name: a, kind: openai, base_url: "http://h/v1"}
  - {name: a, kind: openai, base_url: "http://h/v1", requires_key: true}
deployments:
  - {model: m, provider: a}
  - {model: m, provider: a}
  - {model: m, provider: b}
"""
    )
    assert "c.yaml:3: providers[1].name: there are two providers named a" in message
    assert "c.yaml:3: providers[1].requires_key" in message
    assert "c.yaml:6: deployments[1].model: m@a@global occurs twice" in message
    assert "c.yaml:7: deployments[2].provider: there is no provider named b; there are: a" in message


@pytest.mark.parametrize(
    "key", ["sk-abcdefghijklmnop", "AIzaSyD9tSrke72PouQMnMXa7eZSW0jkFMBWY", "ghp_0123456789abcdef"]
)
def test_a_key_in_the_file_is_refused_and_not_repeated(key: str) -> None:
    message = fault(AGREED.replace("MOCK_KEY", key))
    assert "c.yaml:3: providers[0].api_key_env: this looks like a key itself" in message
    assert key not in message


def test_other_bad_variable_names_are_explained() -> None:
    assert "name an environment variable" in fault(AGREED.replace("MOCK_KEY", "MOCK-KEY"))


def test_an_unset_variable_in_an_address_is_named() -> None:
    text = AGREED.replace("9100", "${MOCK_PORT}")
    assert "c.yaml:3: providers[0].base_url: the environment variable MOCK_PORT is not set" in fault(text)
    assert str(parse_catalog(text, "c", {"MOCK_PORT": "1234"}).provider("mock").base_url) == "http://127.0.0.1:1234/v1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.yaml:1: the catalog is empty"),
        ("- 1", "the catalog must be a mapping"),
        ("providers: &p []\ndeployments: *p", "c.yaml:2: aliases (*p) are not allowed"),
        ("providers: []\nproviders: []", "c.yaml:2: providers: the field occurs twice"),
        ("providers: [\n", "c.yaml:2: this is not plain YAML"),
        ("a:\n b:\n\t- c", "c.yaml:3: this is not plain YAML"),
        ("[" * 100, "nested deeper than 16 levels"),
        ("x: !!python/object/apply:os.system [ls]", "c.yaml:1: this is not plain YAML"),
        ("x: 2001-99-99", "a value cannot be read"),
        ("x: \x00", "this is not plain YAML"),
        ("? [1]\n: 2", "a field's name must be plain text"),
        ("x: " + "y" * 1024 * 1024, "larger than 1024 KiB"),
        ("providers: 3\ndeployments: {}", "providers: input should be a valid tuple"),
    ],
)
def test_what_is_no_catalog_is_refused_in_one_line(text: str, message: str) -> None:
    assert message in fault(text)

import json
from typing import Any

import pytest

from training.card import MODEL, TEMPLATE, card


def shipped() -> tuple[dict[str, Any], dict[str, Any], int]:
    manifest = json.loads((MODEL / "manifest.json").read_text(encoding="utf-8"))
    figures = json.loads((MODEL / "figures.json").read_text(encoding="utf-8"))
    return manifest, figures, sum((MODEL / name).stat().st_size for name in manifest["files"])


def test_the_shipped_card_is_of_the_shipped_model() -> None:
    manifest, figures, size = shipped()
    text = (MODEL / "MODEL_CARD.md").read_text(encoding="utf-8")
    unmeasured = card(TEMPLATE.read_text(encoding="utf-8"), manifest, figures, None, size)
    before_dev = unmeasured.split("Not measured with this version")[0]
    assert text.startswith(before_dev)
    assert f"{figures['out_of_source']['both_tiers']['balanced_accuracy']:.3f}" in text


def test_every_place_of_the_template_is_filled() -> None:
    manifest, figures, size = shipped()
    dev = {"balanced_accuracy": 0.9, "auc": 0.95, "p50_ms": 3.0}
    text = card(TEMPLATE.read_text(encoding="utf-8"), manifest, figures, dev, size)
    assert "{" not in text
    assert "| auc | 0.950 |" in text


@pytest.mark.parametrize("name", ["NON_COMMERCIAL", "COPYLEFT"])
def test_the_card_names_every_source_that_is_left_out(name: str) -> None:
    from training import data

    text = TEMPLATE.read_text(encoding="utf-8")
    assert all(f"`{source}`" in text for source in getattr(data, name))

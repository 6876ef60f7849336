"""Writes the model card: what is known of the model, with the figures of its making and of any measurement beside.

`python -m training.card [--dev FILE]`: FILE holds the JSON object that `make detector` prints last.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

MODEL = Path(__file__).parents[1] / "customhouse" / "governance" / "abuse" / "model"
TEMPLATE = Path(__file__).with_name("card.md")

_MEASURES = ("balanced_accuracy", "recall", "false_positive_rate", "auc", "recall_at_2pct_fpr")


def card(
    template: str, manifest: dict[str, Any], figures: dict[str, Any], dev: dict[str, Any] | None, size: int
) -> str:
    """The template with its places filled. `size`: bytes of all files."""
    seen = figures["out_of_source"]
    escalated = figures["to_the_deep_tier"]
    thresholds = manifest["thresholds"]
    return (
        template.replace("{version}", manifest["version"])
        .replace("{size}", f"{size / 1e6:.0f}")
        .replace("{tiers}", _tiers(seen))
        .replace("{sources}", _sources(seen["both_tiers"]["by_source"]))
        .replace("{benign_deep}", f"{escalated['benign']:.0%}")
        .replace("{abuse_deep}", f"{escalated['abuse']:.0%}")
        .replace("{calibration_error}", f"{figures['calibration_error']:.3f}")
        .replace("{judged}", f"{figures['rows']['judged']:,}")
        .replace("{made}", f"{figures['rows']['made']:,}")
        .replace("{sure_benign}", f"{thresholds['sure_benign']:.3f}")
        .replace("{sure_abuse}", f"{thresholds['sure_abuse']:.3f}")
        .replace("{dev}", _dev(dev))
    )


def _tiers(seen: dict[str, Any]) -> str:
    lines = [
        "| | " + " | ".join(name.replace("_", " ") for name in _MEASURES) + " |",
        "| --- |" + " --- |" * len(_MEASURES),
    ]
    for name, found in seen.items():
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(f"{found[each]:.3f}" for each in _MEASURES) + " |")
    return "\n".join(lines)


def _sources(by_source: dict[str, float]) -> str:
    """One line a source, the worst first. A name ends with `+` for its abusive texts, with `-` for its benign ones."""
    lines = ["| source | texts | judged rightly |", "| --- | --- | --- |"]
    for name, share in sorted(by_source.items(), key=lambda each: each[1]):
        lines.append(f"| {name[:-1]} | {'abuse' if name.endswith('+') else 'benign'} | {share:.0%} |")
    return "\n".join(lines)


def _dev(dev: dict[str, Any] | None) -> str:
    if dev is None:
        return "Not measured with this version: run `make detector`."
    names = ("balanced_accuracy", "recall", "false_positive_rate", "recall_at_1pct_fpr", "auc", "p50_ms", "p95_ms")
    lines = ["| measure | figure |", "| --- | --- |"]
    lines += [f"| {name.replace('_', ' ')} | {dev[name]:.3f} |" for name in names if dev.get(name) is not None]
    if by_source := dev.get("by_source"):
        lines += ["", "By source, the worst first:", "", "| source | judged rightly |", "| --- | --- |"]
        shares = {name: each["accuracy"] if isinstance(each, dict) else each for name, each in by_source.items()}
        lines += [f"| {name} | {share:.0%} |" for name, share in sorted(shares.items(), key=lambda each: each[1])]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--dev", type=Path, help="the last line of `make detector`, in a file")
    given = parser.parse_args()
    manifest = json.loads((given.model / "manifest.json").read_text(encoding="utf-8"))
    figures = json.loads((given.model / "figures.json").read_text(encoding="utf-8"))
    dev = json.loads(given.dev.read_text(encoding="utf-8").strip().split("\n")[-1]) if given.dev else None
    size = sum((given.model / name).stat().st_size for name in manifest["files"])
    text = card(TEMPLATE.read_text(encoding="utf-8"), manifest, figures, dev, size)
    (given.model / "MODEL_CARD.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

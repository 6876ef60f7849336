"""From which similarity on two prompts count as copies: measured on labelled pairs, not guessed.

`python -m training.similarity_threshold` writes the numbers to `thresholds.json` beside this file, and how it came to
them.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from customhouse.governance.similarity.prompt_vector import NAME

Cosine = Annotated[float, Field(ge=-1, le=1)]

FILE = "thresholds.json"


class Band(BaseModel):
    """For prompts from so many tokens on: the more an average is made of, the more alike are strangers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_tokens: Annotated[int, Field(ge=0)]
    near_copy: Cosine
    """Two prompts of one organization are copies of each other from here on."""
    known_abuse: Cosine
    """A prompt is a copy of one in the shared library of known abuse from here on."""
    measured: dict[str, Any]
    """Precision, recall and numbers of pairs, on sources that the thresholds were not chosen by."""


class Thresholds(BaseModel):
    """Cosines of the embedder that is named: another one's mean something else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedder: str
    bands: Annotated[list[Band], Field(min_length=1)]
    """From few tokens to many; the first begins at 0."""
    made: dict[str, Any]
    """How, and from what."""

    @model_validator(mode="after")
    def _covers_all(self) -> Self:
        starts = [band.min_tokens for band in self.bands]
        if starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError(f"bands begin at {starts} tokens; they must begin at 0 and rise")
        if self.embedder != NAME:
            raise ValueError(
                f"these thresholds are of the embedder {self.embedder!r}, prompts are embedded by {NAME!r}. Make them "
                "anew with `python -m training.similarity_threshold`"
            )
        return self

    @classmethod
    def load(cls) -> Self:
        """Those that ship."""
        return cls.model_validate_json((files(__package__) / FILE).read_text(encoding="utf-8"))

    def band(self, tokens: int) -> Band:
        """The band of a prompt of so many tokens."""
        return next(band for band in reversed(self.bands) if tokens >= band.min_tokens)

"""The latest prompts of one organization, in memory: what is not in the index yet, and whatever comes in bursts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from customhouse.governance.similarity.embedder import DIMENSIONS, Matrix, Vector, cosines

_FIRST_ROOM = 64


@dataclass(frozen=True, slots=True)
class SeenPrompt:
    """One earlier prompt. Its text is not kept."""

    invocation_id: UUID
    prompt_hash: str
    at: float
    """When it came, in seconds since the epoch."""
    user_id: str | None = None
    agent_id: str | None = None
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """An earlier prompt, and how near it is."""

    score: float
    """Cosine, at most 1."""
    prompt_hash: str
    invocation_id: UUID


class RecentPrompts:
    """A ring: the newest `capacity` prompts. Not for several threads at once."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._vectors: Matrix = np.zeros((min(_FIRST_ROOM, capacity), DIMENSIONS), np.float32)
        self._seen: list[SeenPrompt] = []
        self._places: dict[UUID, int] = {}
        self._hashes: Counter[str] = Counter()
        self._next = 0

    @classmethod
    def of(cls, capacity: int, prompts: Iterable[tuple[SeenPrompt, Vector]]) -> Self:
        """With these in it, the oldest first."""
        recent = cls(capacity)
        for seen, vector in prompts:
            recent.add(seen, vector)
        return recent

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, invocation_id: UUID) -> bool:
        return invocation_id in self._places

    def add(self, seen: SeenPrompt, vector: Vector) -> None:
        """Take a prompt in; one of the same invocation is replaced, and the oldest goes where there is no room."""
        place = self._places.get(seen.invocation_id)
        if place is None:
            place = self._next
            self._next = (self._next + 1) % self._capacity
            if place == len(self._seen):
                self._make_room()
                self._seen.append(seen)
            else:
                self._forget(place)
        else:
            self._forget(place)
        self._places[seen.invocation_id] = place
        self._hashes[seen.prompt_hash] += 1
        self._seen[place] = seen
        self._vectors[place] = vector

    def remove(self, invocation_id: UUID) -> None:
        """Forget one; nothing happens where it is not here."""
        place = self._places.get(invocation_id)
        if place is not None:
            self._forget(place)
            self._vectors[place] = 0

    def remove_hash(self, prompt_hash: str) -> None:
        """Forget all that have this hash."""
        for seen in self._seen:
            if seen.prompt_hash == prompt_hash:
                self.remove(seen.invocation_id)

    def has_hash(self, prompt_hash: str) -> bool:
        """Whether one with this hash is here."""
        return self._hashes[prompt_hash] > 0

    def scores(self, vector: Vector) -> NDArray[np.float32]:
        """Cosines with all that are here, by place."""
        return cosines(self._vectors[: len(self._seen)], vector)

    def nearest(
        self,
        scores: NDArray[np.float32],
        *,
        other_than: UUID,
        blocked: bool | None = None,
        not_among: RecentPrompts | None = None,
    ) -> Match | None:
        """The nearest of `scores` that is another invocation's; by `blocked`, only one that was blocked, or was not.
        Those whose text is `not_among` others count no more than one that was removed."""
        for place in _by_score(scores):
            seen = self._seen[place]
            if seen.invocation_id == other_than or self._places.get(seen.invocation_id) != place:
                continue
            if not_among is not None and not_among.has_hash(seen.prompt_hash):
                continue
            if blocked is None or seen.blocked is blocked:
                return Match(min(1.0, float(scores[place])), seen.prompt_hash, seen.invocation_id)
        return None

    def copies(
        self, scores: NDArray[np.float32], threshold: float, *, since: float, other_than: UUID
    ) -> list[SeenPrompt]:
        """Prompts of other invocations, at `threshold` or nearer, that came at `since` or later."""
        found = [self._seen[place] for place in np.flatnonzero(scores >= threshold)]
        return [
            seen
            for seen in found
            if seen.at >= since and seen.invocation_id != other_than and seen.invocation_id in self._places
        ]

    @property
    def size_bytes(self) -> int:
        """Of the vectors, which are nearly all of it."""
        return self._vectors.nbytes

    def _forget(self, place: int) -> None:
        """What is at a place, if it has not been forgotten before."""
        seen = self._seen[place]
        if self._places.get(seen.invocation_id) == place:
            del self._places[seen.invocation_id]
            self._hashes[seen.prompt_hash] -= 1
            if not self._hashes[seen.prompt_hash]:
                del self._hashes[seen.prompt_hash]

    def _make_room(self) -> None:
        if len(self._seen) == len(self._vectors):
            room = min(self._capacity, 2 * len(self._vectors))
            grown = np.zeros((room, DIMENSIONS), np.float32)
            grown[: len(self._vectors)] = self._vectors
            self._vectors = grown


def _by_score(scores: NDArray[np.float32]) -> Iterator[int]:
    """Places, the nearest first. Mostly the first will do, and sorting all costs ten times finding it."""
    if len(scores):
        best = int(scores.argmax())
        yield best
        yield from (int(place) for place in np.argsort(-scores) if place != best)

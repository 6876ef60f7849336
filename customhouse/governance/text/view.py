"""All that checks look at in one text: as it was sent, normalized, and what is encoded in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from customhouse.governance.text.decode import Decoded, forms_of
from customhouse.governance.text.form import Form
from customhouse.governance.text.normalize import normalize


class TextView:
    """Each part is made when it is first asked for, and kept."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def plain(self) -> Form:
        """The normalized text as a form: with the way back to the original."""
        return normalize(self.text)

    @property
    def normalized(self) -> str:
        """The text as it is however it was spelled; see `normalize`. The very string that was sent where it is so."""
        return self.plain.text

    @property
    def forms(self) -> Sequence[Form]:
        """What is encoded in it, shallow layers first; empty for nearly all texts. Each is normalized."""
        return self._decoded.forms

    @property
    def local_forms(self) -> Sequence[Form]:
        """Those of `forms` that no white space interrupts: all that a stream is inspected for, and so answers are."""
        return self._locally_decoded.forms

    @property
    def is_whole(self) -> bool:
        """False where more is encoded than `forms` holds: the text is made to cost, or to hide something."""
        return self._decoded.is_whole

    @property
    def is_locally_whole(self) -> bool:
        """The same of `local_forms`."""
        return self._locally_decoded.is_whole

    @cached_property
    def _decoded(self) -> Decoded:
        return forms_of(self.text, self.plain)

    @cached_property
    def _locally_decoded(self) -> Decoded:
        return forms_of(self.text, self.plain, is_local=True)


def view_of(text: str) -> TextView:
    """The view of one text. Costs nothing until it is looked at."""
    return TextView(text)

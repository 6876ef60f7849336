"""Keeps a stream within its budgets: holds more of them as it grows, and ends it where they have no room."""

from __future__ import annotations

from uuid import UUID

from activities.failures import patiently
from customhouse.contracts.budgets import Shortage
from customhouse.contracts.chat import ChatCompletion, Json
from customhouse.governance.budgets.stream_budget import StreamBudget
from customhouse.governance.budgets.worst_case import WorstCase
from customhouse.integrations.providers.answer import AnswerBuilder
from customhouse.storage.ledger import Ledger

CUT_SHORT = "length"
"""The `finish_reason` of an answer that a budget ended: what clients expect where a limit of tokens is reached, so
they keep what has come. The event `budget_stopped_stream` says whose limit it was."""


class BudgetGuard:
    """Of one attempt. Costs a count of characters a chunk, and a statement once in 4,096 tokens."""

    def __init__(self, ledger: Ledger, invocation_id: UUID, number: int, worst: WorstCase) -> None:
        self._ledger = ledger
        self._invocation_id = invocation_id
        self._number = number
        self._budget = StreamBudget.of(worst)
        self._builder = AnswerBuilder()
        self._last: Json = {}
        self.shortages: list[Shortage] = []
        """Budgets that had no room: why the stream was ended."""

    async def allows(self, chunk: Json) -> bool:
        """Whether the stream may go on after this chunk, which itself may be let out."""
        self._builder.add(chunk)
        self._last = chunk
        if not self._budget.write(chunk):
            return True
        self.shortages = await patiently(
            lambda: self._ledger.extend(self._invocation_id, self._number, self._budget.step_usd)
        )
        if self.shortages:
            return False
        self._budget.extended()
        return True

    def ending(self) -> Json:
        """The chunk that ends the stream for its readers, instead of those that the provider would have sent."""
        choices = [{"index": index, "delta": {}, "finish_reason": CUT_SHORT} for index in self._builder.open_choices]
        ending = {**{name: value for name, value in self._last.items() if name != "usage"}, "choices": choices}
        self._builder.add(ending)
        return ending

    def answer(self) -> ChatCompletion:
        """After `ending`: what has come, as a whole answer. Its usage is what the provider had counted, if it had."""
        return self._builder.build()

"""A workflow that has been changed carelessly. In a module of its own, because the sandbox imports it again."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from customhouse.contracts.invocation import InvocationInput, InvocationResult
    from workflows.governed_invocation import GovernedInvocation


@workflow.defn(name="GovernedInvocation")
class Hurried(GovernedInvocation):
    """Broken: it sleeps before it clears, which no saved run did."""

    @workflow.init
    def __init__(self, invocation: InvocationInput) -> None:
        super().__init__(invocation)

    @workflow.run
    async def run(self, invocation: InvocationInput) -> InvocationResult:
        await workflow.sleep(1)
        return await super().run(invocation)

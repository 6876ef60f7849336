"""Validates answers whose request asks for JSON (`response_format`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import orjson
from jsonschema.exceptions import ValidationError

from customhouse.contracts.chat import ChatCompletion, ChatRequest
from customhouse.contracts.governance import Direction, Finding, Severity
from customhouse.governance.json_schema import SafeSchema, TooMuchWork

PARAM = "response_format.json_schema.schema"

MAX_REASONS = 5
"""Reasons listed for one choice; the first ones tell what to mend."""

_PLAIN_KEYWORDS = frozenset(
    {"type", "enum", "const", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    | {"minLength", "maxLength", "minItems", "maxItems", "multipleOf"}
)
"""Keywords whose value tells a reader all."""


CHECK = "json_schema"
"""Name of the check, as findings and policies have it. Its findings have no span: nothing of the answer offends."""


class AnswerSchema:
    """The JSON that one request asks for."""

    def __init__(self, request: ChatRequest) -> None:
        """Raises UnprocessableField, naming the schema's field, for a schema that is wrong or hostile."""
        wanted = request.response_format or {}
        self._schema: SafeSchema | None = None
        if wanted.get("type") == "json_schema":
            container = wanted.get("json_schema")
            schema = container.get("schema") if isinstance(container, dict) else None
            # OpenAI takes a name without a schema, and then wants no more than JSON.
            self._schema = SafeSchema({} if schema is None else schema, PARAM)

    def inspect(self, answer: ChatCompletion) -> list[Finding]:
        """Findings of all choices. Refusals and tool calls are no answers in JSON, and are let be."""
        findings: list[Finding] = []
        for index, choice in enumerate(answer.choices):
            message = choice.message
            if message.get("refusal") or message.get("tool_calls") or message.get("function_call"):
                continue
            where = f"Choice {index}: " if len(answer.choices) > 1 else ""
            if choice.finish_reason == "length":
                findings.append(_finding("truncated", f"{where}the answer was cut off at the token limit."))
            elif choice.finish_reason != "content_filter":
                text = message.get("content")
                findings.extend(
                    _finding(kind, where + why) for kind, why in self._faults(text if isinstance(text, str) else "")
                )
        return findings

    def _faults(self, text: str) -> Iterator[tuple[str, str]]:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            yield "not_json", f"the answer is not JSON ({error})."
            return
        if self._schema is None:
            if not isinstance(value, dict):
                yield "not_object", "the answer is JSON, but not a JSON object."
            return
        try:
            for fault in islice(self._schema.errors(value), MAX_REASONS):
                yield "mismatch", f"at {fault.json_path[:200]}, {_reason(fault)}."
        except TooMuchWork as error:
            yield "unverifiable", f"{error}."


def check_response_format(request: ChatRequest) -> None:
    """Raises UnprocessableField, naming the schema's field, for a schema that is wrong or hostile."""
    AnswerSchema(request)


def wants_json(request: ChatRequest) -> bool:
    """True where the answer must be JSON. It counts only as a whole, so a stream of it is held to its end."""
    return (request.response_format or {}).get("type") in ("json_object", "json_schema")


def check_answer(request: ChatRequest, answer: ChatCompletion) -> list[Finding]:
    """What the answer lacks of what the request asks for; nothing where it does not ask for JSON."""
    return AnswerSchema(request).inspect(answer) if wants_json(request) else []


def complaint_of(findings: Sequence[Finding]) -> str:
    """What to tell the model when it is asked again."""
    reasons = "\n".join(f"- {finding.explanation}" for finding in findings if finding.check == CHECK)
    return f"Your answer does not have the form that was asked for:\n{reasons}\nAnswer again, with the JSON alone."


def _finding(kind: str, explanation: str) -> Finding:
    return Finding(
        check=CHECK,
        kind=kind,
        severity=Severity.HIGH,
        direction=Direction.OUTPUT,
        explanation=explanation[:1].upper() + explanation[1:],
    )


def _reason(error: ValidationError) -> str:
    """Why, in the schema's terms: the library's own message would quote the answer."""
    wanted: Any = error.validator_value
    keyword: Any = error.validator
    if keyword == "required":
        instance: Any = error.instance
        missing = [name for name in wanted if name not in instance]
        return f"required properties are missing: {', '.join(missing)[:200]}"
    if keyword == "additionalProperties":
        return "there are properties that the schema does not allow"
    if keyword in _PLAIN_KEYWORDS:
        return f"the value must satisfy {keyword}: {orjson.dumps(wanted).decode()[:200]}"
    if keyword is None:
        return "the schema allows nothing"
    return f"the value does not satisfy the schema's {keyword}"

"""What a curated shape of abuse is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Category = Literal[
    "prompt_injection_direct",
    "prompt_injection_indirect",
    "jailbreak",
    "system_prompt_extraction",
    "harmful_request",
    "obfuscated",
]

CATEGORIES: tuple[Category, ...] = (
    "prompt_injection_direct",
    "prompt_injection_indirect",
    "jailbreak",
    "system_prompt_extraction",
    "harmful_request",
    "obfuscated",
)
"""In the order of the model's category scores."""


@dataclass(frozen=True, slots=True)
class AbusePattern:
    """One shape. `example` is found by it, `counterexample` is not; both are held by a test."""

    id: str
    category: Category
    regex: str
    source: str
    example: str
    counterexample: str


OWASP = "OWASP LLM01:2025, prompt injection"
OWASP_LEAK = "OWASP LLM07:2025, system prompt leakage"
ATLAS_JAILBREAK = "MITRE ATLAS AML.T0054, LLM jailbreak"
ATLAS_INDIRECT = "MITRE ATLAS AML.T0051.001, indirect prompt injection"
OBFUSCATION = "MITRE ATLAS AML.T0068, LLM prompt obfuscation"
CHAT_FORMATS = "published chat templates (ChatML, Llama, Mistral, Anthropic's legacy format)"

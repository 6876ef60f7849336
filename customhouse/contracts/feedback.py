"""What people say of findings: the words that marks and labelled texts are made of."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Mark(StrEnum):
    """What somebody says of a finding, or of an invocation in which nothing was found."""

    WRONG = "wrong"
    RIGHT = "right"


class Label(StrEnum):
    """What the text really is."""

    ABUSE = "abuse"
    BENIGN = "benign"


class Category(StrEnum):
    """As the training data has them. Those of benign texts begin with `benign_`."""

    HARMFUL_REQUEST = "harmful_request"
    JAILBREAK = "jailbreak"
    PROMPT_INJECTION_DIRECT = "prompt_injection_direct"
    PROMPT_INJECTION_INDIRECT = "prompt_injection_indirect"
    SYSTEM_PROMPT_EXTRACTION = "system_prompt_extraction"
    OBFUSCATED = "obfuscated"
    BENIGN_ASSISTANT = "benign_assistant"
    BENIGN_CODING = "benign_coding"
    BENIGN_MULTILINGUAL = "benign_multilingual"
    BENIGN_AGENT = "benign_agent"
    BENIGN_CONTEXT = "benign_context"
    BENIGN_SYSTEM_PROMPT = "benign_system_prompt"
    BENIGN_ROLEPLAY = "benign_roleplay"
    BENIGN_ENCODED = "benign_encoded"
    BENIGN_HARD = "benign_hard"

    @property
    def label(self) -> Label:
        return Label.BENIGN if self.value.startswith("benign_") else Label.ABUSE


class LabelledText(BaseModel):
    """One row of labelled training data, exactly as the other files have it."""

    model_config = ConfigDict(frozen=True)

    id: str
    text: str
    label: Label
    category: Category
    source: str
    language: str

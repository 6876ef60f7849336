"""Names that Temporal knows us by: the search attributes, in one place.

They are registered when a server is set up (`workers/embedded/temporal.py`, `temporal_client.ensure_search_attributes`)
and set by the workflow. They bear ids and decisions only, never content: Temporal does not encrypt them.
"""

from __future__ import annotations

from typing import Any

from temporalio.common import SearchAttributeKey

ORGANIZATION = SearchAttributeKey.for_keyword("CustomhouseOrganization")
AGENT = SearchAttributeKey.for_keyword("CustomhouseAgent")
MODEL = SearchAttributeKey.for_keyword("CustomhouseModel")
REGION = SearchAttributeKey.for_keyword("CustomhouseRegion")
VERDICT = SearchAttributeKey.for_keyword("CustomhouseVerdict")
POLICY_VERSION = SearchAttributeKey.for_keyword("CustomhousePolicyVersion")
STATUS = SearchAttributeKey.for_keyword("CustomhouseStatus")
COST_USD = SearchAttributeKey.for_float("CustomhouseCostUsd")

SEARCH_ATTRIBUTES: tuple[SearchAttributeKey[Any], ...] = (
    ORGANIZATION,
    AGENT,
    MODEL,
    REGION,
    VERDICT,
    POLICY_VERSION,
    STATUS,
    COST_USD,
)
"""Everything a server must have registered before the first workflow starts."""

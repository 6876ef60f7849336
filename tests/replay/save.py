"""Makes the saved histories again, from real runs on servers of its own: `python -m tests.replay.save`.

Do so when the workflow changes in a way that `workflow.patched` guards: the old histories must still replay, so keep
them under another name, and add the new ones beside them.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson

from tests.doubles.house import running_house, until
from tests.doubles.provider import running_provider
from tests.replay.scenarios import SCENARIOS
from tests.stack import fresh_database, running_postgres, running_temporal

FOLDER = Path(__file__).parent / "histories"


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    async with (
        running_postgres() as postgres,
        running_temporal() as temporal,
        fresh_database(postgres) as url,
        running_provider() as provider,
        running_house(url, temporal.address, provider, "replay") as house,
    ):
        for name, scenario in SCENARIOS.items():
            provider.forget()
            tenant = await house.tenant()
            await scenario(tenant, provider)
            (row,) = await tenant.ended()
            handle = house.parts.temporal.get_workflow_handle(row["workflow_id"])

            async def is_closed(handle: Any = handle) -> bool:
                return (await handle.describe()).close_time is not None

            await until(is_closed)
            history = orjson.loads((await handle.fetch_history()).to_json())
            text = orjson.dumps(_without_place(history), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
            (FOLDER / f"{name}.json").write_bytes(text + b"\n")
            sys.stdout.write(f"{name}: {len(history['events'])} events\n")


def _without_place(value: Any) -> Any:
    """Without what tells only of the machine that the run was on."""
    if isinstance(value, dict):
        return {k: "worker" if k == "identity" else _without_place(v) for k, v in value.items() if k != "stackTrace"}
    return [_without_place(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    asyncio.run(main())

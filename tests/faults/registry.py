"""Every scenario by its name on the command line, and how often it is done unless the command says otherwise."""

from collections.abc import Callable

from desk import mcp_alone
from floods import webhook_flood
from hostile import hostile_calls
from row_tests import row_tests
from scenarios import (
    baseline,
    erasures,
    pipeline_kills,
    postgres_faults,
    rebuilds,
    receiver_kills,
    restores,
    two_of_everything,
)
from shortage import disk_full, memory_limit
from stage import Stage
from storms import api_storms, claude_storms, gong_storms

SCENARIOS: dict[str, tuple[Callable[[Stage, int], None], int]] = {
    "baseline": (baseline, 1),
    "kills": (pipeline_kills, 200),
    "rivals": (two_of_everything, 5),
    "postgres": (postgres_faults, 3),
    "gong": (gong_storms, 1),
    "claude": (claude_storms, 1),
    "storms": (api_storms, 3),
    "disk": (disk_full, 3),
    "memory": (memory_limit, 1),
    "flood": (webhook_flood, 1),
    "hostile": (hostile_calls, 1),
    "mcp": (mcp_alone, 1),
    "erasures": (erasures, 5),
    "restores": (restores, 1),
    "receiver": (receiver_kills, 20),
    "rebuilds": (rebuilds, 3),
    "rows": (row_tests, 1),
}

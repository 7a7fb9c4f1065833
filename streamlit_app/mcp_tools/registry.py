"""Every tool under its name, with its annotations and its description file."""

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from fastmcp import FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.tools import FunctionTool
from fastmcp.utilities.json_schema import dereference_refs
from mcp_types import ToolAnnotations
from pydantic import ValidationError

from streamlit_app.mcp_identity import Identity
from streamlit_app.mcp_tools.analysis import AnalysisTools
from streamlit_app.mcp_tools.calls import CallTools
from streamlit_app.mcp_tools.desk import DeskTools, RecentFreshness
from streamlit_app.mcp_tools.moments import MomentTools
from streamlit_app.mcp_tools.reports import ReportTools
from streamlit_app.mcp_tools.reps import RepTools
from streamlit_app.mcp_tools.requests import RequestTools
from streamlit_app.mcp_tools.teams import TeamTools
from streamlit_app.queries.database import Database, WarehouseError
from streamlit_app.queries.marks import NotAllowedError
from streamlit_app.queries.viewer import UnknownViewerError

DESCRIPTIONS = Path(__file__).parents[1] / "tool_descriptions"

READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
ASKS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
PROPOSES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


@dataclass(frozen=True)
class Tool:
    """A method that clients may call."""

    name: str
    title: str
    annotations: ToolAnnotations
    of: type[DeskTools]


# in the order a model should meet them; the same order in every listing keeps prompts cacheable
TOOLS = (
    Tool("analyze_call", "Analyze a call", ASKS, AnalysisTools),
    Tool("get_rep_insights", "Rep insights", READS, RepTools),
    Tool("search_calls", "Search calls", READS, CallTools),
    Tool("find_moments", "Find quoted moments", READS, MomentTools),
    Tool("compare_calls", "Compare calls", READS, CallTools),
    Tool("get_coaching_plan", "Coaching plan", READS, RepTools),
    Tool("get_coaching_queue", "Coaching queue", READS, MomentTools),
    Tool("get_team_overview", "Team overview", READS, TeamTools),
    Tool("get_leaderboard", "Leaderboard", READS, TeamTools),
    Tool("analyze_product_knowledge", "Product knowledge", READS, TeamTools),
    Tool("export_coaching_report", "Coaching report", READS, ReportTools),
    Tool("get_cost_report", "Cost report", READS, ReportTools),
    Tool("describe_metric", "Describe a metric", READS, ReportTools),
    Tool("batch_analyze_calls", "Analyze many calls", ASKS, RequestTools),
    Tool("update_knowledge_base", "Propose knowledge", PROPOSES, RequestTools),
)

# what a person did wrong or has to wait for: told to the model as it is, and no traceback in the log
EXPLAINED = (WarehouseError, UnknownViewerError, NotAllowedError, LookupError, ValueError)


@contextmanager
def _explained() -> Iterator[None]:
    """Expected failures as tool errors, raised before the framework logs them as crashes."""
    try:
        yield
    except ValidationError:
        # our own answer does not fit its type: a fault to mask, though it is a ValueError too
        raise
    except EXPLAINED as error:
        raise ToolError(str(error), log_level=logging.DEBUG) from error


def _explaining(tool: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(tool):

        @wraps(tool)
        async def answered(*arguments: Any, **named: Any) -> Any:
            with _explained():
                return await tool(*arguments, **named)

        return answered

    @wraps(tool)
    def answer(*arguments: Any, **named: Any) -> Any:
        with _explained():
            return tool(*arguments, **named)

    return answer


def description_of(tool: str) -> str:
    """What the model reads about a tool."""
    return (DESCRIPTIONS / f"{tool}.md").read_text(encoding="utf-8").strip()


def register(server: FastMCP, *, database: Database, identity: Identity, dashboard_url: str) -> None:
    """Every tool under its name, with its annotations and its description file.

    Schemas are written out here once. The framework would do it for every listing, and lists all tools on every call to
    look the called one up: 15 ms of a call's 20.
    """
    recent = RecentFreshness(database)
    for tool in TOOLS:
        answering = tool.of(database=database, identity=identity, dashboard_url=dashboard_url, recent=recent)
        made = FunctionTool.from_function(
            _explaining(getattr(answering, tool.name)),
            name=tool.name,
            title=tool.title,
            description=description_of(tool.name),
            annotations=tool.annotations.model_copy(update={"title": tool.title}),
            timeout=20.0,
        )
        schemas = {"parameters": dereference_refs(made.parameters)}
        if made.output_schema is not None:
            schemas["output_schema"] = dereference_refs(made.output_schema)
        server.add_tool(made.model_copy(update=schemas))

"""What tools are asked with: enums, ranges and lengths that a client is told beforehand."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from streamlit_app.queries.periods import PeriodName

Dimension = Literal["product_knowledge", "discovery", "objections", "engagement"]


ObjectionType = Literal["price", "timing", "need", "authority", "competitor", "technical", "trust"]


CallType = Literal[
    "discovery", "technical", "demo", "negotiation", "business_review", "onboarding", "check_in", "other"
]


MetricName = Literal[
    "dimension_score",
    "criterion_level",
    "mean_score",
    "rolling_score",
    "trend_signal",
    "leaderboard_score",
    "coverage",
    "quote_verified_rate",
    "talk_ratio",
    "longest_monologue",
    "patience",
    "cost_per_scored_call",
    "cache_hit_rate",
    "agreement_with_managers",
    "interruption_rate",
    "switches_per_min",
    "questions_per_hour",
    "points_to_gain",
    "priority_points",
    "saved_against_no_caching",
    "saved_against_rubric_only",
    "kappa",
    "repeat_score_sd",
    "length_correlation",
]


RepName = Annotated[str, Field(min_length=1, max_length=200, description="A rep's name, e-mail address or id.")]


CallId = Annotated[str, Field(min_length=1, max_length=200, description="A call's id, as search_calls gives it.")]


TeamName = Annotated[str, Field(min_length=1, max_length=200, description="A team's name or id.")]


NamedPeriod = Annotated[PeriodName, Field(description="A period up to the newest scored call; dates win over it.")]


Since = Annotated[date | None, Field(description="First day, YYYY-MM-DD.")]


Until = Annotated[date | None, Field(description="Last day, included, YYYY-MM-DD.")]


Limit = Annotated[int, Field(ge=1, le=100, description="Rows per answer.")]


Cursor = Annotated[str | None, Field(max_length=300, description="`next_cursor` of the answer before this one.")]


Score = Annotated[float | None, Field(ge=0, le=100)]

"""Weekly reviews as they were rendered."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class WeeklyReview:
    """One review of one week for one recipient, in its newest version."""

    review_id: str
    week_start: date
    kind: Literal["rep", "team", "leadership"]
    recipient_id: str
    recipient_name: str
    subject: str
    markdown: str
    rendered_at: datetime
    n_delivered: int
    n_failed: int


@dataclass(frozen=True, kw_only=True)
class ReviewWeek:
    """A week with reviews a viewer may see."""

    week_start: date
    n_reviews: int


# A team's review names its members, so it is for those who see the whole team: its manager and above.
_REVIEWS = """
reviews as (
    select
        fct_weekly_reviews.review_id,
        fct_weekly_reviews.week_start,
        fct_weekly_reviews.kind,
        fct_weekly_reviews.recipient_id,
        coalesce(dim_reps.rep_name, fct_weekly_reviews.recipient_id) as recipient_name,
        fct_weekly_reviews.subject,
        fct_weekly_reviews.markdown,
        fct_weekly_reviews.rendered_at,
        fct_weekly_reviews.n_delivered,
        fct_weekly_reviews.n_failed
    from marts.fct_weekly_reviews
    left join marts.dim_reps on fct_weekly_reviews.recipient_id = dim_reps.rep_id
    where
        fct_weekly_reviews.is_newest
        and (
            %(sees_everyone)s
            or (
                fct_weekly_reviews.kind = 'rep'
                and fct_weekly_reviews.recipient_id in (select visible_reps.rep_id from visible_reps)
            )
            or (
                fct_weekly_reviews.kind = 'team'
                and %(sees_a_team)s
                and fct_weekly_reviews.recipient_id in (select visible_reps.rep_id from visible_reps)
            )
        )
)
"""

_OF_WEEK = """
select * from reviews
where reviews.week_start = %(week_start)s
order by reviews.kind desc, reviews.recipient_name, reviews.review_id
"""

_WEEKS = """
select
    reviews.week_start,
    count(*) as n_reviews
from reviews
group by reviews.week_start
order by reviews.week_start desc
"""


def review_weeks(database: Database, viewer: Viewer) -> Rows[ReviewWeek]:
    """Newest week first; the texts of a year would be too many to read for it."""
    return database.rows(viewer, ReviewWeek, _REVIEWS + _WEEKS)


def weekly_reviews(database: Database, viewer: Viewer, week_start: date) -> Rows[WeeklyReview]:
    """All reviews of one week."""
    return database.rows(viewer, WeeklyReview, _REVIEWS + _OF_WEEK, {"week_start": week_start})

"""Reps a viewer may see, and finding one by name, e-mail or id."""

from dataclasses import dataclass
from datetime import datetime

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Person, Viewer


@dataclass(frozen=True, kw_only=True)
class Rep:
    """A rep as lists and selectors show them."""

    rep_id: str
    rep_name: str
    email: str | None
    title: str | None
    role: str
    manager_id: str | None
    manager_name: str | None
    team_id: str
    team_name: str
    is_active: bool
    is_manager: bool
    first_call_at: datetime | None
    n_calls: int


@dataclass(frozen=True, kw_only=True)
class Team:
    """A manager's direct reports."""

    team_id: str
    team_name: str
    n_reps: int


class NoSuchRepError(LookupError):
    """No rep this viewer may see answers to that name or id."""

    def __init__(self, wanted: str, suggestions: tuple[str, ...] = ()) -> None:
        self.suggestions = suggestions
        hint = f" Did you mean: {', '.join(suggestions)}?" if suggestions else ""
        super().__init__(f"No rep called '{wanted[:80]}' among the people you may see.{hint}")


class AmbiguousRepError(LookupError):
    """Several reps answer to that name."""

    def __init__(self, wanted: str, matches: tuple[Rep, ...]) -> None:
        self.matches = matches
        listed = "; ".join(f"{rep.rep_name} ({rep.title or rep.role}, id {rep.rep_id})" for rep in matches[:5])
        super().__init__(f"'{wanted[:80]}' could be several reps: {listed}. Ask again with the id.")


_PEOPLE = """
select
    dim_reps.rep_id,
    dim_reps.rep_name,
    dim_reps.email,
    dim_reps.is_manager,
    dim_reps.is_active
from marts.dim_reps
"""

_REPS = """
reps as (
    select
        dim_reps.rep_id,
        dim_reps.rep_name,
        dim_reps.email,
        dim_reps.title,
        dim_reps.role,
        dim_reps.manager_id,
        dim_reps.manager_name,
        dim_reps.team_id,
        dim_reps.team_name,
        dim_reps.is_active,
        dim_reps.is_manager,
        dim_reps.first_call_at,
        dim_reps.n_calls
    from marts.dim_reps
    inner join visible_reps on dim_reps.rep_id = visible_reps.rep_id
    where
        (%(with_callless)s or dim_reps.n_calls > 0)
        and (%(team_id)s::text is null or dim_reps.team_id = %(team_id)s)
)

select * from reps
order by rep_name, rep_id
"""

_TEAMS = """
teams as (
    select
        dim_reps.team_id,
        min(dim_reps.team_name) as team_name,
        count(*) as n_reps
    from marts.dim_reps
    inner join visible_reps on dim_reps.rep_id = visible_reps.rep_id
    where dim_reps.n_calls > 0
    group by dim_reps.team_id
)

select * from teams
order by team_name, team_id
"""


def people(database: Database) -> tuple[Person, ...]:
    """Everyone, as far as sign-in needs to know them."""
    return database.unscoped_rows(Person, _PEOPLE)


def list_reps(
    database: Database, viewer: Viewer, *, team_id: str | None = None, with_callless: bool = False
) -> Rows[Rep]:
    """Reps with calls, by name."""
    return database.rows(viewer, Rep, _REPS, {"team_id": team_id, "with_callless": with_callless})


def list_teams(database: Database, viewer: Viewer) -> Rows[Team]:
    """Teams that hold at least one rep with calls."""
    return database.rows(viewer, Team, _TEAMS)


def find_rep(database: Database, viewer: Viewer, wanted: str) -> Rep:
    """One rep by id, e-mail, full name or the start of a name; raise with the choices otherwise."""
    reps = list_reps(database, viewer, with_callless=True).rows
    needle = " ".join(wanted.split()).casefold()
    for exact in (
        [rep for rep in reps if needle == rep.rep_id.casefold()],
        [rep for rep in reps if needle in ((rep.email or "").casefold(), rep.rep_name.casefold())],
        [rep for rep in reps if needle and any(part == needle for part in rep.rep_name.casefold().split())],
        [rep for rep in reps if len(needle) >= 3 and needle in rep.rep_name.casefold()],
    ):
        if len(exact) == 1:
            return exact[0]
        if exact:
            raise AmbiguousRepError(wanted, tuple(exact))
    with_calls = [rep for rep in reps if rep.n_calls] or list(reps)
    close = [rep.rep_name for rep in with_calls if needle and needle[:3] in rep.rep_name.casefold()]
    raise NoSuchRepError(wanted, tuple(close[:5] or [rep.rep_name for rep in with_calls[:5]]))

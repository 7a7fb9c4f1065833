"""Who is asking, and whose calls they may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal["rep", "manager", "leader", "admin"]
# what the policies of the marts take for "all rows"; no Gong id looks like it
EVERYONE = "*"


class UnknownViewerError(Exception):
    """The person behind a login, token or setting is nobody the warehouse knows."""


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """The person every query is asked for; a rep sees themselves, a manager their reports at any depth."""

    viewer_id: str
    name: str
    role: Role
    can_write: bool = False

    @property
    def sees_everyone(self) -> bool:
        return self.role in ("leader", "admin")

    @property
    def rows_of(self) -> str:
        """Whose rows the policies of the marts let through: the second lock behind every query."""
        return EVERYONE if self.sees_everyone else self.viewer_id

    @property
    def sees_a_team(self) -> bool:
        return self.role != "rep"


ADMIN = Viewer(viewer_id="admin", name="Admin", role="admin", can_write=True)
LEADER = Viewer(viewer_id="leader", name="Leader", role="leader", can_write=True)


@dataclass(frozen=True, kw_only=True)
class Person:
    """One row of `dim_reps`, as far as it decides what someone may see."""

    rep_id: str
    rep_name: str
    email: str | None
    is_manager: bool
    is_active: bool


def viewer_for(
    who: str,
    *,
    people: Sequence[Person],
    leaders: Sequence[str] = (),
    admins: Sequence[str] = (),
    can_write: bool = False,
) -> Viewer:
    """Map an e-mail address or rep id to a viewer; refuse whoever is unknown or has left."""
    wanted = who.strip().casefold()
    matches = [person for person in people if wanted in (person.rep_id.casefold(), (person.email or "").casefold())]
    person = matches[0] if len(matches) == 1 and wanted else None
    names = {wanted} if person is None else {wanted, person.rep_id.casefold(), (person.email or "").casefold()}
    viewer_id = person.rep_id if person else who.strip()
    name = person.rep_name if person else who.strip()
    if names & {admin.casefold() for admin in admins}:
        return Viewer(viewer_id=viewer_id, name=name, role="admin", can_write=can_write)
    if names & {leader.casefold() for leader in leaders}:
        return Viewer(viewer_id=viewer_id, name=name, role="leader", can_write=can_write)
    if person is None:
        raise UnknownViewerError(
            f"'{who}' is not a rep's id or e-mail address in the warehouse. "
            "Ask whoever runs call coach to check the address, or to add it to CALL_COACH_LEADERS or CALL_COACH_ADMINS."
        )
    if not person.is_active:
        raise UnknownViewerError(f"'{who}' belongs to someone who has left, so the account is closed.")
    return Viewer(viewer_id=viewer_id, name=name, role="manager" if person.is_manager else "rep", can_write=can_write)

"""Pages people propose for the knowledge base, and what was decided about them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.marks import NotAllowedError, require_write
from streamlit_app.queries.viewer import Viewer

PageKind = Literal["product", "competitor"]
ProposalState = Literal["received", "accepted", "rejected"]


@dataclass(frozen=True, kw_only=True)
class KnowledgeProposal:
    """One proposal and its state; `is_same` marks the one with exactly this title and text."""

    proposal_id: str
    document_id: str
    title: str
    state: ProposalState
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None
    is_same: bool


_PROPOSALS = """
proposals as (
    select
        knowledge_proposals.proposal_id,
        knowledge_proposals.document_id,
        knowledge_proposals.title,
        knowledge_proposals.status as state,
        knowledge_proposals.proposed_by,
        knowledge_proposals.proposed_at,
        knowledge_proposals.decided_by,
        knowledge_proposals.decided_at,
        knowledge_proposals.decision_reason,
        knowledge_proposals.kind = %(kind)s
        and knowledge_proposals.title = %(title)s
        and knowledge_proposals.body = %(body)s as is_same
    from ops.knowledge_proposals
    where knowledge_proposals.document_id = %(document_id)s
)

select * from proposals
order by is_same desc, proposed_at desc, proposal_id
"""

_ADD = """
insert into ops.knowledge_proposals (document_id, kind, title, body, reason, proposed_by)
values (%(document_id)s, %(kind)s, %(title)s, %(body)s, %(reason)s, %(viewer_id)s)
"""


def propose_knowledge(
    database: Database, viewer: Viewer, *, document_id: str, kind: PageKind, title: str, body: str, reason: str
) -> Rows[KnowledgeProposal]:
    """Store a page for a person to accept, once; then that proposal first, and others for the same page after it.

    It would change what counts as correct, so nothing is written here but the proposal.
    """
    require_write(viewer, "propose knowledge")
    if not viewer.sees_a_team:
        raise NotAllowedError("Knowledge is proposed by managers, leaders and admins. Send yours to your manager.")
    page = {"document_id": document_id, "kind": kind, "title": title, "body": body}
    found = database.rows(viewer, KnowledgeProposal, _PROPOSALS, page, limit=10)
    if not any(proposal.is_same for proposal in found):
        database.append(_ADD, {**page, "reason": reason, "viewer_id": viewer.viewer_id})
        found = database.rows(viewer, KnowledgeProposal, _PROPOSALS, page, limit=10)
    return found

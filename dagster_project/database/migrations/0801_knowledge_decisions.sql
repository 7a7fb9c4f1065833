-- why a proposal for the knowledge base was turned down, for whoever proposed it
alter table ops.knowledge_proposals add column decision_reason text;
alter table ops.knowledge_proposals add constraint rejected_with_a_reason
check (status <> 'rejected' or decision_reason is not null);

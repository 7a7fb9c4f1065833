-- An alert goes to several addresses. Where one could not be reached, the others are not told again.
alter table ops.alerts add column sent_to text [] not null default '{}';

-- name: add
insert into approval.queue as known (job_id, tenant_id, state, requested_at, selection)
values ($1, $2, 'pending', $3, $4)
on conflict (job_id) do update set
    selection = excluded.selection
where known.selection is null and known.tenant_id = excluded.tenant_id

-- name: decide
update approval.queue set
    state = $3,
    decided_by = $4,
    reason = $5,
    decided_at = $6,
    cause_id = $7
where job_id = $1 and tenant_id = $2 and state = 'pending'

-- name: verdict
select state, selection, decided_by, reason, decided_at, cause_id
from approval.queue
where job_id = $1 and tenant_id = $2

-- name: withdraw
insert into approval.queue as known (job_id, tenant_id, state, requested_at, ended_at)
values ($1, $2, 'withdrawn', $3, $3)
on conflict (job_id) do update set
    state = case known.state when 'pending' then 'withdrawn' else known.state end,
    decided_at = case known.state when 'pending' then $3 else known.decided_at end,
    ended_at = $3
where known.ended_at is null and known.tenant_id = excluded.tenant_id

-- name: has_ended
select exists (
    select from approval.queue
    where job_id = $1 and tenant_id = $2 and ended_at is not null
)

-- name: page
select job_id, tenant_id, state, requested_at, selection, decided_by, reason
from approval.queue
where ($1 = '*' or tenant_id = $1)
  and ($2 = '' or state = $2)
  and selection is not null
order by requested_at, job_id
limit $3

-- name: find
select job_id, tenant_id, state, requested_at, selection, decided_by, reason
from approval.queue
where job_id = $2 and ($1 = '*' or tenant_id = $1) and selection is not null

-- name: notify
insert into approval.notification (
    event_id, tenant_id, user_id, job_id, kind, channel, subject, body, link, at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (event_id) do nothing

-- name: notifications
select user_id, job_id, kind, channel, subject, body, link, at
from approval.notification
where ($1 = '*' or tenant_id = $1) and user_id = $2
order by at desc, event_id
limit $3

-- name: store
insert into orchestrator.job as known (
    job_id, tenant_id, user_id, video_id, effect_type, state,
    created_at, updated_at, charged, code, reason, revision, body
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
on conflict (job_id) do update set
    state = excluded.state,
    updated_at = excluded.updated_at,
    charged = excluded.charged,
    code = excluded.code,
    reason = excluded.reason,
    revision = excluded.revision,
    body = excluded.body
where known.revision < excluded.revision

-- name: page
select job_id, tenant_id, user_id, video_id, effect_type, state,
       created_at, updated_at, charged, code, reason
from orchestrator.job
where ($1 = '*' or tenant_id = $1)
  and ($2 = '' or (created_at, job_id) < (
      select cursor.created_at, cursor.job_id
      from orchestrator.job as cursor
      where cursor.job_id = $2 and ($1 = '*' or cursor.tenant_id = $1)
  ))
order by created_at desc, job_id desc
limit $3

-- name: find
select body, revision
from orchestrator.job
where job_id = $2 and ($1 = '*' or tenant_id = $1)

-- name: of_video
select body
from orchestrator.job
where tenant_id = $1 and video_id = $2 and job_id > $3
order by job_id
limit $4

-- name: number
select number from orchestrator.slot where effect_type = $1 and job_id = $2

-- name: lock_slots
select pg_advisory_xact_lock(hashtextextended('orchestrator.slot ' || $1::text, 0))

-- name: take_slot
insert into orchestrator.slot (effect_type, number, job_id)
select $1, coalesce(max(number) + 1, 0), $2
from orchestrator.slot
where effect_type = $1
on conflict (effect_type, job_id) do nothing

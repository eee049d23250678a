-- name: current
select distinct on (p.provider_id) p.record, s.status, h.checkup->'health' as health
from provider_registry.provider p
left join provider_registry.standing s using (provider_id)
left join provider_registry.health h using (provider_id)
order by p.provider_id, p.revision desc

-- name: one
select p.record, p.created_at, s.status, h.checkup->'health' as health
from provider_registry.provider p
left join provider_registry.standing s using (provider_id)
left join provider_registry.health h using (provider_id)
where p.provider_id = $1 and ($2 = 0 or p.revision = $2)
order by p.revision desc
limit 1

-- name: lock
select pg_advisory_xact_lock(hashtext('provider_registry.provider'), hashtext($1))

-- name: next_revision
select coalesce(max(revision), 0) + 1 as revision,
       coalesce(bool_or(digest = $2 and origin = 'shipped'), false) as known,
       coalesce((array_agg(origin order by revision desc))[1] = 'admin', false) as edited
from provider_registry.provider
where provider_id = $1

-- name: insert
insert into provider_registry.provider
    (provider_id, revision, origin, digest, record, created_at, changed_by)
values ($1, $2, $3, $4, $5::jsonb, $6, $7)

-- name: set_status
insert into provider_registry.standing (provider_id, status, since)
values ($1, $2, $3)
on conflict (provider_id) do update set status = excluded.status, since = excluded.since

-- name: revisions
select revision, origin, created_at, changed_by
from provider_registry.provider
where provider_id = $1
order by revision desc
limit $2

-- name: find_change
select change from provider_registry.change where change_id = $1

-- name: changes
select change from provider_registry.change where provider_id = $1 order by at desc, change_id limit $2

-- name: insert_change
insert into provider_registry.change (change_id, provider_id, at, change)
values ($1, $2, $3, $4::jsonb)

-- name: validations
select graph_digest from provider_registry.validation

-- name: validate
insert into provider_registry.validation (graph_digest, host, at)
values ($1, $2, $3)
on conflict (graph_digest) do update set host = excluded.host, at = excluded.at

-- name: note
insert into provider_registry.render (event_id, provider_id, at, succeeded, duration_ms)
values ($1, $2, $3, $4, $5)
on conflict do nothing

-- name: forget
delete from provider_registry.render where at < $1

-- name: recent
select provider_id,
       count(*) filter (where succeeded) as succeeded,
       count(*) filter (where not succeeded) as failed,
       (avg(duration_ms) filter (where succeeded))::integer as latency_ms,
       count(*) filter (where succeeded and n <= $2) as recent_succeeded,
       count(*) filter (where not succeeded and n <= $2) as recent_failed,
       (avg(duration_ms) filter (where succeeded and n <= $2))::integer as recent_latency_ms
from (
    select *, row_number() over (partition by provider_id order by at desc, event_id) as n
    from provider_registry.render
    where at >= $1
) as numbered
group by provider_id

-- name: claim
update provider_registry.checked set at_window = $1 where at_window < $1 returning at_window

-- name: pulses
select provider_id, checkup from provider_registry.health

-- name: store_health
insert into provider_registry.health (provider_id, checkup, unsaid)
values ($1, $2::jsonb, $3::jsonb)
on conflict (provider_id) do update
set checkup = excluded.checkup, unsaid = coalesce(excluded.unsaid, provider_registry.health.unsaid)

-- name: unsaid
select provider_id, unsaid from provider_registry.health where unsaid is not null

-- name: said
update provider_registry.health set unsaid = null
where provider_id = $1 and (unsaid->>'window')::bigint = $2

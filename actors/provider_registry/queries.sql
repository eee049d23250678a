-- name: current
select distinct on (provider_id) record
from provider_registry.provider
order by provider_id, revision desc

-- name: lock
select pg_advisory_xact_lock(hashtext('provider_registry.provider'), hashtext($1))

-- name: next_revision
select coalesce(max(revision), 0) + 1 as revision,
       coalesce(bool_or(digest = $2 and origin = 'shipped'), false) as known
from provider_registry.provider
where provider_id = $1

-- name: insert
insert into provider_registry.provider (provider_id, revision, origin, digest, record, created_at)
values ($1, $2, $3, $4, $5::jsonb, $6)

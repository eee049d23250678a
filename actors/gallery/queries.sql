-- name: add_effect
insert into gallery.effect (effect_id, job_id, tenant_id, effect_type, published_at)
values ($1, $2, $3, $4, $5)
on conflict (effect_id) do nothing

-- name: lock_job
select pg_advisory_xact_lock(hashtextextended('gallery.job ' || $1::text, 0))

-- name: add_revision
insert into gallery.revision (
    effect_id, revision_id, revision, cause_id, title, video_uri, content_hash,
    published_at, gallery_url, provider_id, composite_score
)
select $1, $2, coalesce(max(revision), 0) + 1, $3, $4, $5, $6, $7, $8, $9, $10
from gallery.revision
where effect_id = $1
on conflict (effect_id, revision_id) do nothing

-- name: pin
update gallery.effect set pinned = $2 where effect_id = $1

-- name: withdraw
insert into gallery.withdrawal (job_id, tenant_id, at)
values ($1, $2, $3)
on conflict (job_id, tenant_id) do nothing

-- name: unpin
update gallery.effect set pinned = null where job_id = $1 and tenant_id = $2

-- name: is_withdrawn
select exists (select from gallery.withdrawal where job_id = $1 and tenant_id = $2)

-- name: published_by
select e.effect_id, r.revision_id, r.revision, e.effect_type, r.title, r.video_uri,
       r.content_hash, r.published_at, r.gallery_url, r.provider_id, r.composite_score
from gallery.revision as r
join gallery.effect as e on e.effect_id = r.effect_id
where r.cause_id = $1

-- name: page
select e.effect_id, r.revision_id, r.revision, e.effect_type, r.title, r.video_uri,
       r.content_hash, r.published_at, r.gallery_url, r.provider_id, r.composite_score
from gallery.effect as e
join gallery.revision as r on r.effect_id = e.effect_id and r.revision_id = e.pinned
where ($1 = '' or (e.published_at, e.effect_id) < (
          select cursor.published_at, cursor.effect_id
          from gallery.effect as cursor
          where cursor.effect_id = $1
      ))
  and ($2 = '' or e.effect_type = $2)
order by e.published_at desc, e.effect_id desc
limit $3

-- name: find
select e.effect_id, r.revision_id, r.revision, e.effect_type, r.title, r.video_uri,
       r.content_hash, r.published_at, r.gallery_url, r.provider_id, r.composite_score
from gallery.effect as e
join gallery.revision as r on r.effect_id = e.effect_id and r.revision_id = e.pinned
where e.effect_id = $1

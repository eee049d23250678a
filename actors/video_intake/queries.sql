-- name: find
select to_jsonb(u)::text as found
  from video_intake.upload u
 where video_id = $1 and ($2 = '*' or tenant_id = $2)
 order by tenant_id
 limit 1

-- name: record
insert into video_intake.upload as known
       (tenant_id, video_id, user_id, source_uri, state, metadata, normalized, content_hash,
        code, reason, hint, detail, uploaded_at, fingerprint, duplicate_of, similar_to,
        screening, review, kept)
values ($1, $2, $3, $4, $5, $6::text::jsonb, $7::text::jsonb, $8, $9, $10, $11, $12, $13, $14,
        $15, $16, $17::text::jsonb, $18::text::jsonb, $19)
    on conflict (tenant_id, video_id) do update
   set user_id = excluded.user_id,
       source_uri = excluded.source_uri,
       state = excluded.state,
       metadata = excluded.metadata,
       normalized = excluded.normalized,
       content_hash = excluded.content_hash,
       code = excluded.code,
       reason = excluded.reason,
       hint = excluded.hint,
       detail = excluded.detail,
       fingerprint = excluded.fingerprint,
       duplicate_of = excluded.duplicate_of,
       similar_to = excluded.similar_to,
       screening = excluded.screening,
       review = excluded.review,
       kept = excluded.kept
 where not (known.state in ('normalized', 'held', 'blocked') and excluded.state = 'accepted'
            and known.source_uri = excluded.source_uri)

-- name: forget
delete from video_intake.upload where video_id = $1 and tenant_id = $2

-- name: twin
select to_jsonb(u)::text as found
  from video_intake.upload u
 where tenant_id = $1 and content_hash = $2 and content_hash <> '' and video_id <> $3
   and state <> 'rejected'
 order by state = 'accepted', uploaded_at, video_id
 limit 1

-- name: recognisable
select to_jsonb(u)::text as found
  from video_intake.upload u
 where tenant_id = $1 and fingerprint <> ''
 order by uploaded_at desc, video_id desc
 limit $2

-- name: arrive
insert into video_intake.arrival (tenant_id, video_id, at) values ($1, $2, $3)
    on conflict (tenant_id, video_id) do nothing

-- name: arrivals
select count(*) from video_intake.arrival where tenant_id = $1 and at > $2

-- name: departed
delete from video_intake.arrival where tenant_id = $1 and at <= $2

-- name: awaiting
select to_jsonb(u)::text as found
  from video_intake.upload u
 where state = $2 and ($1 = '*' or tenant_id = $1)
 order by uploaded_at, video_id
 limit $3

-- name: due
select to_jsonb(u)::text as found
  from video_intake.upload u
 where kept <> 'nothing' and state <> 'held'
   and case when state in ('rejected', 'blocked') then uploaded_at < $3
            when uploaded_at < $2 then true
            else uploaded_at < $1 and (state = 'accepted' or kept = 'all')
       end
 order by uploaded_at, video_id
 limit $4

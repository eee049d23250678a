-- name: find
select tenant_id, video_id, user_id, source_uri, state, metadata::text, normalized::text,
       code, reason, hint, detail
  from video_intake.upload
 where video_id = $1 and ($2 = '*' or tenant_id = $2)
 order by tenant_id
 limit 1

-- name: record
insert into video_intake.upload as known
       (tenant_id, video_id, user_id, source_uri, state, metadata, normalized, content_hash,
        code, reason, hint, detail)
values ($1, $2, $3, $4, $5, $6::text::jsonb, $7::text::jsonb, $8, $9, $10, $11, $12)
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
       detail = excluded.detail
 where not (known.state = 'normalized' and excluded.state = 'accepted'
            and known.source_uri = excluded.source_uri)

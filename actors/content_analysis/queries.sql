-- name: find
select analysis::text
  from content_analysis.analysis
 where tenant_id = $1 and content_hash = $2 and version = $3

-- name: keep
insert into content_analysis.analysis (tenant_id, content_hash, version, analysis)
values ($1, $2, $3, $4::text::jsonb)
    on conflict (tenant_id, content_hash, version) do nothing

-- name: forget
delete from content_analysis.analysis where tenant_id = $1 and content_hash = $2

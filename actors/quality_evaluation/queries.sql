-- name: find
select * from quality_evaluation.score where tenant_id = $1 and task_id = $2

-- name: of_job
select * from quality_evaluation.score where tenant_id = $1 and job_id = $2 limit $3

-- name: one_at_a_time
select pg_advisory_xact_lock(hashtextextended($1, 0))

-- name: insert
insert into quality_evaluation.score (
    task_id, job_id, tenant_id, provider_id, effect_type, composite, vector, confidence,
    evaluator_version, reason, comparative_rank, at, low, high, details
) values ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, $10, $11, $12, $13, $14, $15::text::jsonb)

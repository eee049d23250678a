-- name: find
select * from prompt_generation.asked where tenant_id = $1 and event_id = $2

-- name: of_job
select * from prompt_generation.asked where tenant_id = $1 and job_id = $2 order by at, event_id limit $3

-- name: record
insert into prompt_generation.asked (
    event_id, tenant_id, job_id, template_id, version, effect_type, rewriter, prompts, at
) values ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9)
on conflict (tenant_id, event_id) do nothing

-- name: tell
insert into prompt_generation.outcome as known (
    tenant_id, task_id, job_id, provider_id, effect_type, template_id, version, variant,
    composite, confidence, won, cost_microtokens, at
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
on conflict (tenant_id, task_id) do update set
    provider_id = coalesce(nullif(known.provider_id, ''), excluded.provider_id),
    effect_type = coalesce(nullif(known.effect_type, ''), excluded.effect_type),
    template_id = coalesce(nullif(known.template_id, ''), excluded.template_id),
    version = coalesce(nullif(known.version, 0), excluded.version),
    variant = coalesce(nullif(known.variant, ''), excluded.variant),
    composite = coalesce(known.composite, excluded.composite),
    confidence = coalesce(known.confidence, excluded.confidence),
    won = coalesce(known.won, excluded.won),
    cost_microtokens = coalesce(known.cost_microtokens, excluded.cost_microtokens),
    at = least(known.at, excluded.at)
where known.job_id = excluded.job_id

-- name: end
insert into prompt_generation.ending (tenant_id, job_id, state, at) values ($1, $2, $3, $4)
on conflict (tenant_id, job_id) do nothing

-- name: outcomes
select * from prompt_generation.outcome where tenant_id = $1 and job_id = $2 order by task_id limit $3

-- name: standings
select
    one.effect_type,
    one.template_id,
    one.version,
    count(distinct (one.tenant_id, one.job_id)) as jobs,
    coalesce(sum(round(one.confidence * 1000000)::bigint) filter (where one.won and one.composite is not null), 0)::bigint
        as weight_micro,
    coalesce(
        sum(round(one.confidence * one.composite * 1000000)::bigint)
            filter (where one.won and ending.state is distinct from 'REJECTED'),
        0
    )::bigint as worth_micro,
    count(distinct (one.tenant_id, one.job_id)) filter (where ending.state = 'COMPLETE')
        as published,
    count(distinct (one.tenant_id, one.job_id)) filter (where ending.state = 'REJECTED')
        as rejected,
    coalesce(sum(one.cost_microtokens), 0)::bigint as cost_microtokens
from prompt_generation.outcome as one
left join prompt_generation.ending as ending
    on ending.tenant_id = one.tenant_id and ending.job_id = one.job_id
where one.template_id <> '' and one.at >= $1
group by one.effect_type, one.template_id, one.version
order by one.effect_type, one.template_id, one.version
limit $2

-- name: prune_asked
delete from prompt_generation.asked where (tenant_id, event_id) in (
    select tenant_id, event_id from prompt_generation.asked where at < $1 order by at limit $2
)

-- name: prune_outcomes
delete from prompt_generation.outcome where (tenant_id, task_id) in (
    select tenant_id, task_id from prompt_generation.outcome where at < $1 order by at limit $2
)

-- name: prune_endings
delete from prompt_generation.ending where (tenant_id, job_id) in (
    select tenant_id, job_id from prompt_generation.ending where at < $1 order by at limit $2
)

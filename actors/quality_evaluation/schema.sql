create schema if not exists quality_evaluation;

create table if not exists quality_evaluation.score (
    task_id            text             primary key,
    job_id             text             not null,
    tenant_id          text             not null,
    provider_id        text             not null,
    effect_type        text             not null,
    composite          double precision not null check (composite between 0 and 1),
    vector             jsonb            not null,
    confidence         double precision not null check (confidence between 0 and 1),
    evaluator_version  text             not null,
    reason             text             not null,
    comparative_rank   integer          not null check (comparative_rank >= 1),
    at                 timestamptz      not null
);

create index if not exists score_by_job on quality_evaluation.score (tenant_id, job_id);

create index if not exists score_by_provider on quality_evaluation.score (provider_id, at);

alter table quality_evaluation.score add column if not exists low double precision;

alter table quality_evaluation.score add column if not exists high double precision;

alter table quality_evaluation.score add column if not exists details jsonb not null default '{}';

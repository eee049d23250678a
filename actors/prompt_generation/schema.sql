create schema if not exists prompt_generation;

-- what was said because of one event. The words hold what a user wrote, so they are kept only as
-- long as that event can come again
create table if not exists prompt_generation.asked (
    tenant_id    text        not null,
    event_id     text        not null,
    job_id       text        not null,
    template_id  text        not null,
    version      integer     not null check (version >= 1),
    effect_type  text        not null,
    rewriter     text        not null,
    prompts      jsonb       not null,
    at           timestamptz not null,
    primary key (tenant_id, event_id)
);

create index if not exists asked_by_job on prompt_generation.asked (tenant_id, job_id, at);

create index if not exists asked_by_time on prompt_generation.asked (at);

-- what is known of one render; nothing in it was written by a user
create table if not exists prompt_generation.outcome (
    tenant_id        text             not null,
    task_id          text             not null,
    job_id           text             not null,
    provider_id      text             not null,
    effect_type      text             not null,
    template_id      text             not null,
    version          integer          not null,
    variant          text             not null,
    composite        double precision check (composite between 0 and 1),
    confidence       double precision check (confidence between 0 and 1),
    won              boolean,
    cost_microtokens bigint,
    at               timestamptz      not null,
    primary key (tenant_id, task_id)
);

create index if not exists outcome_by_job on prompt_generation.outcome (tenant_id, job_id);

create index if not exists outcome_by_time on prompt_generation.outcome (at);

create table if not exists prompt_generation.ending (
    tenant_id text        not null,
    job_id    text        not null,
    state     text        not null,
    at        timestamptz not null,
    primary key (tenant_id, job_id)
);

create index if not exists ending_by_time on prompt_generation.ending (at);

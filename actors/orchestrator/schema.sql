create schema if not exists orchestrator;

create table if not exists orchestrator.job (
    job_id      text primary key,
    tenant_id   text not null,
    user_id     text not null,
    video_id    text not null,
    effect_type text not null,
    state       text not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    charged     bigint not null,
    code        text not null,
    reason      text not null,
    revision    bigint not null,
    body        jsonb not null
);

create index if not exists job_newest on orchestrator.job (created_at desc, job_id desc);
create index if not exists job_newest_of_tenant
    on orchestrator.job (tenant_id, created_at desc, job_id desc);
create index if not exists job_of_video on orchestrator.job (tenant_id, video_id, job_id);

create table if not exists orchestrator.slot (
    effect_type text not null,
    number      bigint not null check (number >= 0),
    job_id      text not null,
    primary key (effect_type, number),
    unique (effect_type, job_id)
);

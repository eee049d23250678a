create schema if not exists content_analysis;

create table if not exists content_analysis.analysis (
    tenant_id    text        not null,
    content_hash text        not null check (content_hash <> ''),
    version      text        not null,
    analysis     jsonb       not null,
    at           timestamptz not null default now(),
    primary key (tenant_id, content_hash, version)
);

create index if not exists analysis_by_age on content_analysis.analysis (at);

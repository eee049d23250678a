create schema if not exists gallery;

create table if not exists gallery.effect (
    effect_id    text primary key,
    job_id       text not null unique,
    tenant_id    text not null,
    effect_type  text not null,
    published_at timestamptz not null,
    -- the revision that is shown; none once the job was withdrawn
    pinned       text
);

create index if not exists effect_newest on gallery.effect (published_at desc, effect_id desc);

create table if not exists gallery.revision (
    effect_id       text not null references gallery.effect,
    revision_id     text not null,
    revision        integer not null check (revision > 0),
    cause_id        text not null unique,
    title           text not null,
    video_uri       text not null,
    content_hash    text not null,
    published_at    timestamptz not null,
    gallery_url     text not null,
    provider_id     text not null,
    composite_score double precision not null,
    primary key (effect_id, revision_id),
    unique (effect_id, revision)
);

-- Jobs that ended without being paid for. A job may end before its approval is heard here, so this
-- does not refer to an effect.
create table if not exists gallery.withdrawal (
    job_id    text not null,
    tenant_id text not null,
    at        timestamptz not null,
    primary key (job_id, tenant_id)
);

create or replace function gallery.refuse_change() returns trigger
language plpgsql as $$
begin
    raise exception 'a published revision never changes (% on gallery.%)', tg_op, tg_table_name;
end
$$;

create or replace trigger revision_is_immutable
    before update or delete or truncate on gallery.revision
    for each statement execute function gallery.refuse_change();

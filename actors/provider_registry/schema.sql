create schema if not exists provider_registry;

create table if not exists provider_registry.provider (
    provider_id text not null,
    revision integer not null check (revision > 0),
    origin text not null check (origin in ('shipped', 'admin')),
    digest text not null,
    record jsonb not null,
    created_at timestamptz not null,
    primary key (provider_id, revision)
);

create index if not exists provider_digest
    on provider_registry.provider (provider_id, digest);

alter table provider_registry.provider add column if not exists changed_by text not null default '';

-- a revision is what a past job was rendered with, so it can never be another
create or replace function provider_registry.refuse_change() returns trigger
language plpgsql as $$
begin
    raise exception 'a provider revision is immutable: % revision %', old.provider_id, old.revision;
end
$$;

create or replace trigger provider_is_immutable
    before update or delete on provider_registry.provider
    for each row execute function provider_registry.refuse_change();

-- whether it is given jobs, as an admin decided; without a row the record's own status counts
create table if not exists provider_registry.standing (
    provider_id text primary key,
    status text not null,
    since timestamptz not null
);

-- what became of each order, also of those that were refused; an order that comes again finds itself
create table if not exists provider_registry.change (
    change_id text primary key,
    provider_id text not null,
    at timestamptz not null,
    change jsonb not null
);

create index if not exists change_of_provider
    on provider_registry.change (provider_id, at desc);

-- graphs that a host was found able to run, whoever offers them
create table if not exists provider_registry.validation (
    graph_digest text primary key,
    host text not null,
    at timestamptz not null
);

-- what renders came to, for a day
create table if not exists provider_registry.render (
    event_id text primary key,
    provider_id text not null,
    at timestamptz not null,
    succeeded boolean not null,
    duration_ms integer
);

create index if not exists render_of_provider
    on provider_registry.render (provider_id, at desc);

-- the newest check that a process took; one row
create table if not exists provider_registry.checked (
    only_one boolean primary key default true check (only_one),
    at_window bigint not null
);

insert into provider_registry.checked (at_window) values (0) on conflict do nothing;

-- what the checks made of each provider; "unsaid" is what crossed and was not said yet
create table if not exists provider_registry.health (
    provider_id text primary key,
    checkup jsonb not null,
    unsaid jsonb
);

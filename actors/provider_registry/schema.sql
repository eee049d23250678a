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

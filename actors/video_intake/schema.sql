create schema if not exists video_intake;

create table if not exists video_intake.upload (
    tenant_id    text not null,
    video_id     text not null,
    user_id      text not null,
    source_uri   text not null,
    state        text not null check (state in ('accepted', 'normalized', 'rejected', 'held', 'blocked')),
    metadata     jsonb,
    normalized   jsonb,
    content_hash text not null default '',
    code         text not null default '',
    reason       text not null default '',
    hint         text not null default '',
    detail       text not null default '',
    primary key (tenant_id, video_id)
);

-- a table of an older release has fewer states and columns
do $$
begin
    if not exists (select from pg_attribute
                    where attrelid = 'video_intake.upload'::regclass and attname = 'kept') then
        alter table video_intake.upload drop constraint if exists upload_state_check;
        alter table video_intake.upload
              add constraint upload_state_check
              check (state in ('accepted', 'normalized', 'rejected', 'held', 'blocked')),
              add column uploaded_at  timestamptz not null default now(),
              add column fingerprint  text not null default '',
              add column duplicate_of text not null default '',
              add column similar_to   text not null default '',
              add column screening    jsonb,
              add column review       jsonb,
              add column kept         text not null default 'all'
                                      check (kept in ('all', 'derived', 'nothing'));
    end if;
end
$$;

create index if not exists upload_by_video on video_intake.upload (video_id);
create index if not exists upload_by_content on video_intake.upload (tenant_id, content_hash);
create index if not exists upload_by_looks on video_intake.upload (tenant_id, uploaded_at)
 where fingerprint <> '';
create index if not exists upload_in_review on video_intake.upload (state, uploaded_at)
 where state in ('held', 'blocked');
create index if not exists upload_by_age on video_intake.upload (uploaded_at) where kept <> 'nothing';

create table if not exists video_intake.arrival (
    tenant_id text not null,
    video_id  text not null,
    at        timestamptz not null,
    primary key (tenant_id, video_id)
);

create index if not exists arrival_by_time on video_intake.arrival (tenant_id, at);

create schema if not exists video_intake;

create table if not exists video_intake.upload (
    tenant_id    text not null,
    video_id     text not null,
    user_id      text not null,
    source_uri   text not null,
    state        text not null check (state in ('accepted', 'normalized', 'rejected')),
    metadata     jsonb,
    normalized   jsonb,
    content_hash text not null default '',
    code         text not null default '',
    reason       text not null default '',
    hint         text not null default '',
    detail       text not null default '',
    primary key (tenant_id, video_id)
);

create index if not exists upload_by_video on video_intake.upload (video_id);
create index if not exists upload_by_content on video_intake.upload (tenant_id, content_hash);

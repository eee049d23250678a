create schema if not exists approval;

create table if not exists approval.queue (
    job_id       text primary key,
    tenant_id    text not null,
    state        text not null check (state in ('pending', 'approved', 'rejected', 'withdrawn')),
    requested_at timestamptz not null,
    -- null for a job that ended before it asked
    selection    jsonb,
    decided_by   text not null default '',
    reason       text not null default '',
    decided_at   timestamptz,
    cause_id     text not null default '',
    -- when the job ended by itself, decided or not
    ended_at     timestamptz,
    check (selection is not null or state = 'withdrawn')
);

alter table approval.queue add column if not exists ended_at timestamptz;

create index if not exists queue_waiting on approval.queue (state, requested_at, job_id);

create table if not exists approval.notification (
    event_id  text primary key,
    tenant_id text not null,
    user_id   text not null,
    job_id    text not null,
    kind      text not null,
    channel   text not null,
    subject   text not null,
    body      text not null,
    link      text not null,
    at        timestamptz not null
);

create index if not exists notification_newest
    on approval.notification (tenant_id, user_id, at desc, event_id);

-- The ledger. A transfer is written once and never changed; the triggers below see to that even when
-- somebody connects by hand.

create schema if not exists economic_engine;

-- The end of each tenant's chain of seals. Its row is the lock under which the tenant's money moves.
create table if not exists economic_engine.chain (
    tenant_id text primary key,
    length bigint not null default 0 check (length >= 0),
    seal text not null default ''
);

-- Balances are kept for guarded accounts only, the wallets. Those of the others are the sums of
-- their entries, so no two tenants ever wait for the same row.
create table if not exists economic_engine.account (
    id text primary key,
    guarded boolean not null,
    debits_posted bigint not null default 0 check (debits_posted >= 0),
    credits_posted bigint not null default 0 check (credits_posted >= 0),
    debits_pending bigint not null default 0 check (debits_pending >= 0),
    constraint account_is_not_overdrawn
        check (not guarded or credits_posted - debits_posted - debits_pending >= 0)
);

create table if not exists economic_engine.transfer (
    id text primary key,
    kind text not null check (kind in ('pending', 'post', 'void', 'transfer')),
    debit text not null references economic_engine.account (id),
    credit text not null references economic_engine.account (id),
    amount bigint not null check (amount > 0),
    pending_id text references economic_engine.transfer (id),
    tenant_id text not null references economic_engine.chain (tenant_id),
    job_id text not null,
    user_id text not null,
    task_id text not null,
    effect_type text not null,
    memo text not null,
    detail text not null,
    at timestamptz not null,
    sequence bigint not null check (sequence > 0),
    previous text not null,
    seal text not null,
    constraint transfer_has_two_sides check (debit <> credit),
    constraint transfer_resolves_a_hold check ((kind in ('post', 'void')) = (pending_id is not null)),
    constraint transfer_has_its_place unique (tenant_id, sequence)
);

create unique index if not exists transfer_resolves_once
    on economic_engine.transfer (pending_id) where pending_id is not null;
create index if not exists transfer_of_job on economic_engine.transfer (job_id, tenant_id);
create index if not exists transfer_hold_of_user
    on economic_engine.transfer (tenant_id, user_id) where kind = 'pending';
create index if not exists transfer_by_time on economic_engine.transfer (at, tenant_id, sequence);

-- Holds that were not made, so that asking again is answered alike.
create table if not exists economic_engine.refusal (
    hold_id text primary key,
    tenant_id text not null,
    user_id text not null,
    reason text not null,
    required bigint not null,
    available bigint not null,
    at timestamptz not null
);

create or replace function economic_engine.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is append-only: % of % is refused', tg_op, tg_table_name;
end
$$;

create or replace trigger transfer_is_not_changed
    before update or delete on economic_engine.transfer
    for each row execute function economic_engine.refuse_change();

create or replace trigger transfer_is_not_truncated
    before truncate on economic_engine.transfer
    for each statement execute function economic_engine.refuse_change();

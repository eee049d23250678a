-- name: open_chain
insert into economic_engine.chain (tenant_id) values ($1) on conflict do nothing

-- name: lock_chain
select length, seal from economic_engine.chain where tenant_id = $1 for update

-- name: move_chain
update economic_engine.chain set length = $2, seal = $3 where tenant_id = $1

-- name: open_account
insert into economic_engine.account (id, guarded) values ($1, $2) on conflict do nothing

-- name: change_account
update economic_engine.account
set debits_posted = debits_posted + $2,
    credits_posted = credits_posted + $3,
    debits_pending = debits_pending + $4
where id = $1

-- name: balance
select id, debits_posted, credits_posted, debits_pending
from economic_engine.account where id = $1

-- name: balances
select id, debits_posted, credits_posted, debits_pending
from economic_engine.account where guarded

-- name: heads
select tenant_id, length, seal from economic_engine.chain

-- name: insert_transfer
insert into economic_engine.transfer (
    id, kind, debit, credit, amount, pending_id, tenant_id, job_id, user_id, task_id, effect_type,
    memo, detail, at, sequence, previous, seal
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)

-- name: find_transfer
select * from economic_engine.transfer where id = $1

-- name: find_resolution
select * from economic_engine.transfer where pending_id = $1

-- name: find_refusal
select * from economic_engine.refusal where hold_id = $1

-- name: insert_refusal
insert into economic_engine.refusal (hold_id, tenant_id, user_id, reason, required, available, at)
values ($1, $2, $3, $4, $5, $6, $7)

-- name: count_open_holds
select count(*) from economic_engine.transfer as held
where held.kind = 'pending' and held.tenant_id = $1 and held.user_id = $2
    and not exists (select from economic_engine.transfer as done where done.pending_id = held.id)

-- name: of_job
select * from economic_engine.transfer
where job_id = $2 and ($1 = '*' or tenant_id = $1)
order by tenant_id, sequence limit $3

-- name: of_tenant
select * from (
    select * from economic_engine.transfer where tenant_id = $1 order by sequence desc limit $2
) as newest order by sequence

-- name: of_everybody
select * from (
    select * from economic_engine.transfer order by at desc, tenant_id desc, sequence desc limit $1
) as newest order by at, tenant_id, sequence

-- name: everything
select * from economic_engine.transfer order by tenant_id, sequence

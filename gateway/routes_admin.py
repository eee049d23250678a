"""HTTP of admins: approvals for a tenant's, money for the platform's."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation

from actors.runtime.contract import Clock
from actors.runtime.follow import begin, derived_id
from gateway import bodies
from gateway.approvals import APPROVED, REJECTED, ApprovalDesk
from gateway.errors import Refusal
from gateway.guards import SignedIn, admins_only, operators_only
from gateway.ids import is_id
from gateway.problems import PROBLEMS
from gateway.routes_jobs import Limit, TheBus
from schemas.asks import (
    ANY_TENANT,
    ApprovalPage,
    LedgerVerdict,
    Margins,
    PendingApproval,
    ReadMargins,
    VerifyLedger,
)
from schemas.base import JobId, TenantId
from schemas.commands import TopUp, TopUpWallet

Approvals = NamedDependency[SkipValidation[ApprovalDesk]]
TheClock = NamedDependency[SkipValidation[Clock]]
WantedState = Annotated[Literal["pending", "approved", "rejected"], QueryParameter(name="state")]

VERIFY_TIMEOUT_S = 30.0
"""Adding the whole ledger up takes longer than a look at one row."""


@get("/approvals", guards=[admins_only], responses=PROBLEMS)
async def list_approvals(
    caller: SignedIn,
    approvals: Approvals,
    wanted: WantedState = "pending",
    limit: Limit = 50,
) -> ApprovalPage:
    """List what waits for an admin, oldest first."""
    return await approvals.page(caller, state=wanted, limit=limit)


@post("/jobs/{job_id:str}/approve", guards=[admins_only], responses=PROBLEMS)
async def approve_job(
    job_id: FromPath[str], caller: SignedIn, approvals: Approvals
) -> Response[bodies.DecisionView]:
    """Publish a job's effect; 200 when that was decided already."""
    entry, new = await approvals.decide(caller, job_id, approve=True)
    return _decided(entry, APPROVED, new=new)


@post("/jobs/{job_id:str}/reject", guards=[admins_only], responses=PROBLEMS)
async def reject_job(
    job_id: FromPath[str], data: JSONBody[bodies.RejectBody], caller: SignedIn, approvals: Approvals
) -> Response[bodies.DecisionView]:
    """Do not publish it, and give the tokens back; 200 when that was decided already."""
    entry, new = await approvals.decide(caller, job_id, approve=False, reason=data.reason)
    return _decided(entry, REJECTED, new=new)


@get("/admin/margins", guards=[operators_only], responses=PROBLEMS)
async def show_margins(bus: TheBus) -> Margins:
    """Show which provider and effect earns."""
    return await bus.ask(ReadMargins(), Margins)


@get("/admin/ledger/verify", guards=[operators_only], responses=PROBLEMS)
async def verify_ledger(bus: TheBus) -> LedgerVerdict:
    """Add the whole ledger up again."""
    return await bus.ask(VerifyLedger(), LedgerVerdict, timeout=VERIFY_TIMEOUT_S)


@post(
    "/admin/wallets/{tenant:str}/topup",
    guards=[operators_only],
    status_code=202,
    responses=PROBLEMS,
)
async def top_up(
    tenant: FromPath[str],
    data: JSONBody[bodies.TopUpBody],
    caller: SignedIn,
    bus: TheBus,
    clock: TheClock,
) -> bodies.TopUpView:
    """Pay tokens into a wallet; the same ``topup_id`` is paid in once."""
    if not is_id(tenant) or tenant == ANY_TENANT:
        raise Refusal(
            422, "INVALID_TENANT", detail=f"not a tenant id: {tenant!r}", hint="as in its token"
        )
    header = begin(
        job_id=JobId(derived_id("topup", tenant, data.topup_id)),
        tenant_id=TenantId(tenant),
        at=clock.now(),
        event_id=derived_id("evt", tenant, data.topup_id, TopUpWallet.__name__),
    )
    payload = TopUp(
        topup_id=data.topup_id, amount_microtokens=data.amount_microtokens, by=caller.user_id
    )
    await bus.publish(TopUpWallet(**header, payload=payload))
    return bodies.TopUpView(
        tenant_id=TenantId(tenant),
        topup_id=data.topup_id,
        amount_microtokens=data.amount_microtokens,
    )


def _decided(entry: PendingApproval, wanted: str, *, new: bool) -> Response[bodies.DecisionView]:
    shown = bodies.DecisionView(job_id=entry.job_id, decision=wanted, state=entry.state)
    return Response(shown, status_code=202 if new else 200)


HANDLERS = (list_approvals, approve_job, reject_job, show_margins, verify_ledger, top_up)

"""The short cuts through nats-py, which are its inside and may move with any release."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from actors.runtime.bus import Bus
from subjects.topology import EVT
from tests.integration.runtime.world import apply, fact, stored


async def test_acknowledgements_take_the_short_cut(bus: Bus) -> None:
    """If this fails after an update of nats-py, nothing is broken but half of the speed is gone."""
    await apply(bus)
    before = bus._client.cut

    await bus.say([fact(number) for number in range(3)])

    assert bus._client.cut >= before + 3


async def test_a_line_break_in_a_header_makes_no_second_header(bus: Bus) -> None:
    """An id that a user chose could otherwise set any header, such as an expected sequence."""
    await apply(bus)
    sneaky = {"Nats-Msg-Id": "one\r\nNats-Expected-Stream: another"}

    await bus.publish("evt.approval.UserNotified.tnt_1.job_1", b"{}", sneaky)

    [found] = await stored(bus, EVT)
    assert "one" in found.message_id


async def test_a_barrier_that_nobody_waits_for_any_more_does_not_end_the_connection(
    bus: Bus,
) -> None:
    """nats-py's own client hears nothing more after this, and never notices."""
    given_up = asyncio.ensure_future(bus.barrier())
    await asyncio.sleep(0)  # its PING is written
    given_up.cancel()
    with suppress(asyncio.CancelledError):
        await given_up

    await bus.barrier()

    assert (await bus.api("INFO"))["type"].endswith("account_info_response")

"""What the scaler must do with a group; whoever plays the service runs the same tests."""

from __future__ import annotations

from typing import Protocol

import pytest

from actors.execution.errors import ScalingFailedError
from actors.execution.scaler import AwsScaler

GROUP = "gpu-hosts"
LEAST, MOST = 1, 6


class Service(Protocol):
    """AWS Auto Scaling, played by something."""

    @property
    def scaler(self) -> AwsScaler:
        """Return a scaler of the group, there or not."""
        ...

    def has(self, *, desired: int, wanted: int, looks: int = 1) -> None:
        """Let there be the group, which is to be of the size that is wanted after so many looks."""
        ...

    def lacks(self) -> None:
        """Let there be no group."""
        ...

    def refuses(self) -> None:
        """Let nobody read or change anything with these keys."""
        ...

    def check(self) -> None:
        """Fail unless the group has become what was wanted, and nothing else was asked for."""
        ...


class ScalerSuite:
    """Run with a fixture ``service``."""

    @pytest.mark.parametrize(
        ("desired", "wanted"),
        [(4, 4), (1, 1), (MOST + 54, MOST), (0, LEAST)],
        ids=["more", "fewer", "more than there may be", "fewer than there may be"],
    )
    async def test_the_desired_capacity_is_set_within_the_groups_bounds(
        self, service: Service, desired: int, wanted: int
    ) -> None:
        """The service refuses what is outside, and the fleet would not grow at all."""
        service.has(desired=2, wanted=wanted)

        assert await service.scaler.scale(desired)
        service.check()

    @pytest.mark.parametrize(
        ("before", "desired"), [(4, 4), (MOST, MOST + 1), (LEAST, 0)], ids=["so", "most", "least"]
    )
    async def test_what_is_so_already_is_not_asked_for(
        self, service: Service, before: int, desired: int
    ) -> None:
        """Several processes ask for the same; each call counts against the account's rate."""
        service.has(desired=before, wanted=before)

        assert not await service.scaler.scale(desired)
        service.check()

    async def test_asking_twice_changes_once(self, service: Service) -> None:
        """A number of hosts is asked for, not a change of it."""
        service.has(desired=2, wanted=5, looks=2)

        assert [await service.scaler.scale(5), await service.scaler.scale(5)] == [True, False]
        service.check()

    async def test_a_group_that_does_not_exist_is_named(self, service: Service) -> None:
        """A misspelt setting."""
        service.lacks()

        with pytest.raises(ScalingFailedError, match=r"'gpu-hosts'.*there is no such"):
            await service.scaler.scale(4)

    async def test_keys_without_the_right_are_no_crash(self, service: Service) -> None:
        """The renders go on, and somebody reads which right is missing."""
        service.refuses()

        with pytest.raises(ScalingFailedError, match="AccessDenied"):
            await service.scaler.scale(4)

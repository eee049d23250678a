"""``Scaler``: nobody, who only lets advise, and an AWS Auto Scaling group."""

from __future__ import annotations

from typing import Any, Final, Protocol

import anyio
from anyio.to_thread import run_sync
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from actors.execution.errors import ScalingFailedError

TIMEOUT_S: Final = 30.0


class NoScaler:
    """Starts nothing: what is said is advice for whoever does."""

    async def scale(self, desired_hosts: int) -> bool:
        """Do nothing."""
        del desired_hosts
        return False


class AutoScaling(Protocol):
    """What is used of boto3's client of that name."""

    def describe_auto_scaling_groups(self, *, AutoScalingGroupNames: list[str]) -> Any:  # noqa: N803
        """Return the groups of these names."""
        ...

    def set_desired_capacity(
        self,
        *,
        AutoScalingGroupName: str,  # noqa: N803
        DesiredCapacity: int,  # noqa: N803
        HonorCooldown: bool,  # noqa: N803
    ) -> Any:
        """Ask for so many instances."""
        ...


class AwsScaler:
    """One Auto Scaling group, one GPU host an instance. The group's own bounds hold."""

    def __init__(self, *, client: AutoScaling, group: str) -> None:
        self._client = client
        self._group = group

    async def scale(self, desired_hosts: int) -> bool:
        """Set the desired capacity, within the group's bounds, unless it is that already.

        Raises:
            ScalingFailedError: the group does not exist, or the service refused or was silent.
        """
        try:
            with anyio.fail_after(TIMEOUT_S):
                return await run_sync(self._set, desired_hosts, abandon_on_cancel=True)
        except TimeoutError as silent:
            raise ScalingFailedError(self._group, f"no answer after {TIMEOUT_S:g} s") from silent
        except (BotoCoreError, ClientError) as refused:
            raise ScalingFailedError(self._group, str(refused)) from refused
        except ResponseParserError as unread:  # no BotoCoreError; its text is the whole answer
            raise ScalingFailedError(self._group, "somebody else answered") from unread

    def _set(self, desired_hosts: int) -> bool:
        found = self._client.describe_auto_scaling_groups(AutoScalingGroupNames=[self._group])
        groups = found["AutoScalingGroups"]
        if not groups:
            raise ScalingFailedError(self._group, "there is no such group")
        [group] = groups
        wanted = min(max(desired_hosts, group["MinSize"]), group["MaxSize"])
        if wanted == group["DesiredCapacity"]:
            return False
        self._client.set_desired_capacity(
            AutoScalingGroupName=self._group, DesiredCapacity=wanted, HonorCooldown=False
        )
        return True

"""The AWS scaler against botocore's own model of the service: no network, but real validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from actors.execution.errors import ScalingFailedError
from actors.execution.scaler import AwsScaler, NoScaler
from tests.unit.execution.scaler_suite import GROUP, LEAST, MOST, ScalerSuite


class Scripted:
    """A client that answers what the test says, in order, and nothing else."""

    def __init__(self, stubber: Stubber) -> None:
        self.stubber = stubber

    @property
    def scaler(self) -> AwsScaler:
        """Return the scaler over the scripted client."""
        return AwsScaler(client=self.stubber.client, group=GROUP)

    def has(self, *, desired: int, wanted: int, looks: int = 1) -> None:
        """Answer each look, and take the one change if there is one to be."""
        self._found(desired)
        if wanted != desired:
            self.stubber.add_response(
                "set_desired_capacity",
                {},
                {"AutoScalingGroupName": GROUP, "DesiredCapacity": wanted, "HonorCooldown": False},
            )
        for _ in range(looks - 1):
            self._found(wanted)

    def lacks(self) -> None:
        """Answer that there is no group of the name."""
        self.stubber.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": []})

    def refuses(self) -> None:
        """Answer that the right is missing."""
        self.stubber.add_client_error("describe_auto_scaling_groups", "AccessDenied")

    def check(self) -> None:
        """Fail when something was not asked for; what is asked for beyond that fails by itself."""
        self.stubber.assert_no_pending_responses()

    def _found(self, desired: int) -> None:
        group: dict[str, Any] = {
            "AutoScalingGroupName": GROUP,
            "MinSize": LEAST,
            "MaxSize": MOST,
            "DesiredCapacity": desired,
            "DefaultCooldown": 300,
            "AvailabilityZones": ["eu-central-1a"],
            "HealthCheckType": "EC2",
            "CreatedTime": "2026-03-01T12:00:00Z",
        }
        self.stubber.add_response(
            "describe_auto_scaling_groups",
            {"AutoScalingGroups": [group]},
            {"AutoScalingGroupNames": [GROUP]},
        )


@pytest.fixture
def service() -> Iterator[Scripted]:
    """Return the service as a script."""
    client = boto3.client(
        "autoscaling",
        region_name="eu-central-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )
    with Stubber(client) as stubbed:
        yield Scripted(stubbed)


class TestScripted(ScalerSuite):
    """The suite, played by a script."""


async def test_a_change_that_is_refused_is_no_crash(service: Scripted) -> None:
    """Another change is under way; the next look asks again."""
    service._found(2)
    service.stubber.add_client_error("set_desired_capacity", "ScalingActivityInProgress", "later")

    with pytest.raises(ScalingFailedError, match="ScalingActivityInProgress"):
        await service.scaler.scale(4)


async def test_nobody_starts_nothing() -> None:
    """What is said is advice."""
    assert not await NoScaler().scale(100)

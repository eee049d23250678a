"""The AWS scaler against botocore's own model of the service: no network, but real validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from actors.execution.errors import ScalingFailedError
from actors.execution.scaler import AwsScaler, NoScaler

GROUP = "gpu-hosts"


@pytest.fixture
def stubber() -> Iterator[Stubber]:
    """Return a client that answers what the test says, in order, and nothing else."""
    client = boto3.client(
        "autoscaling",
        region_name="eu-central-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )
    with Stubber(client) as stubbed:
        yield stubbed


def scaler(stubber: Stubber) -> AwsScaler:
    """Return the scaler over the stubbed client."""
    return AwsScaler(client=stubber.client, group=GROUP)


def found(stubber: Stubber, **changes: Any) -> None:
    """Let the service know the group."""
    group = {
        "AutoScalingGroupName": GROUP,
        "MinSize": 1,
        "MaxSize": 6,
        "DesiredCapacity": 2,
        "DefaultCooldown": 300,
        "AvailabilityZones": ["eu-central-1a"],
        "HealthCheckType": "EC2",
        "CreatedTime": "2026-03-01T12:00:00Z",
    }
    stubber.add_response(
        "describe_auto_scaling_groups",
        {"AutoScalingGroups": [group | changes]},
        {"AutoScalingGroupNames": [GROUP]},
    )


def taken(stubber: Stubber, capacity: int) -> None:
    """Let the service take a desired capacity, and no other."""
    stubber.add_response(
        "set_desired_capacity",
        {},
        {"AutoScalingGroupName": GROUP, "DesiredCapacity": capacity, "HonorCooldown": False},
    )


@pytest.mark.parametrize(("desired", "capacity"), [(4, 4), (60, 6), (0, 1)])
async def test_the_desired_capacity_is_set_within_the_groups_bounds(
    stubber: Stubber, desired: int, capacity: int
) -> None:
    """The service refuses what is outside, and the fleet would not grow at all."""
    found(stubber)
    taken(stubber, capacity)

    assert await scaler(stubber).scale(desired)
    stubber.assert_no_pending_responses()


async def test_what_is_so_already_is_not_asked_for(stubber: Stubber) -> None:
    """Several processes ask for the same; each call counts against the account's rate."""
    found(stubber, DesiredCapacity=4)

    assert not await scaler(stubber).scale(4)


async def test_a_group_that_does_not_exist_is_named(stubber: Stubber) -> None:
    """A misspelt setting."""
    stubber.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": []})

    with pytest.raises(ScalingFailedError, match="'gpu-hosts' was not changed: there is no such"):
        await scaler(stubber).scale(4)


async def test_a_refusal_is_no_crash(stubber: Stubber) -> None:
    """Keys expire; the renders go on."""
    found(stubber)
    stubber.add_client_error("set_desired_capacity", "ScalingActivityInProgress", "later")

    with pytest.raises(ScalingFailedError, match="ScalingActivityInProgress"):
        await scaler(stubber).scale(4)


async def test_nobody_starts_nothing() -> None:
    """What is said is advice."""
    assert not await NoScaler().scale(100)

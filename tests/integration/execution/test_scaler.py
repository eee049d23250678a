"""The AWS scaler over HTTP, against moto's server: the same suite as the scripted service."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from actors.execution.errors import ScalingFailedError
from actors.execution.scaler import AwsScaler
from tests.unit.execution.scaler_suite import GROUP, LEAST, MOST, ScalerSuite

ZONE = "eu-central-1"
ALLOWED = 1_000_000
"""Calls that anybody may make; more than a test does."""


RIGHTS = ("autoscaling:DescribeAutoScalingGroups", "autoscaling:SetDesiredCapacity")
"""What the documentation says that the platform needs."""
Keys = tuple[str, str]


def client_of(url: str, service: str = "autoscaling", keys: Keys = ("nobody", "nothing")) -> Any:
    """Return a client that asks once: a test does not wait for the pauses between tries."""
    return boto3.client(
        service,
        region_name=ZONE,
        endpoint_url=url,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
    )


class Emulated:
    """The service as moto knows it; nothing of a test is left for the next."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = client_of(url)
        self._wanted = 0
        self._allow(ALLOWED)
        httpx.post(f"{url}/moto-api/reset").raise_for_status()

    @property
    def scaler(self) -> AwsScaler:
        """Return a scaler of the group."""
        return AwsScaler(client=self.client, group=GROUP)

    def has(self, *, desired: int, wanted: int, looks: int = 1) -> None:
        """Make the group, and remember what it is to become."""
        del looks
        [image, *_] = client_of(self.url, "ec2").describe_images()["Images"]
        self.client.create_launch_configuration(
            LaunchConfigurationName="host", ImageId=image["ImageId"], InstanceType="g5.xlarge"
        )
        self.client.create_auto_scaling_group(
            AutoScalingGroupName=GROUP,
            LaunchConfigurationName="host",
            MinSize=LEAST,
            MaxSize=MOST,
            DesiredCapacity=desired,
            AvailabilityZones=[f"{ZONE}a"],
        )
        self._wanted = wanted

    def lacks(self) -> None:
        """Make nothing."""

    def refuses(self) -> None:
        """Let the keys be those of somebody without rights."""
        self.has(desired=2, wanted=2)
        self.permits()

    def permits(self, *actions: str) -> None:
        """Let the keys be those of somebody who may do just this."""
        iam = client_of(self.url, "iam")
        iam.create_user(UserName="effectmesh")
        if actions:
            statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName="effectmesh", PolicyName="scaling", PolicyDocument=policy)
        made = iam.create_access_key(UserName="effectmesh")["AccessKey"]
        keys = (made["AccessKeyId"], made["SecretAccessKey"])
        self.client = client_of(self.url, keys=keys)
        self._allow(0)

    def check(self) -> None:
        """Fail unless the group is of the wanted size, and has as many instances."""
        [group] = self.client.describe_auto_scaling_groups()["AutoScalingGroups"]
        assert (group["DesiredCapacity"], len(group["Instances"])) == (self._wanted, self._wanted)
        assert (group["MinSize"], group["MaxSize"]) == (LEAST, MOST)

    def _allow(self, calls: int) -> None:
        httpx.post(f"{self.url}/moto-api/reset-auth", content=str(calls)).raise_for_status()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Run the server, on whatever port is free."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def service(url: str) -> Emulated:
    """Return the service without a group."""
    return Emulated(url)


class TestEmulated(ScalerSuite):
    """The suite, over HTTP."""


async def test_two_rights_are_enough(service: Emulated) -> None:
    """They are what the documentation asks for."""
    service.has(desired=2, wanted=4)
    service.permits(*RIGHTS)

    assert await service.scaler.scale(4)
    service.check()


@pytest.mark.parametrize("right", RIGHTS)
async def test_neither_right_is_enough_by_itself(service: Emulated, right: str) -> None:
    """The message names the call that was refused."""
    service.has(desired=2, wanted=2)
    service.permits(right)
    [missing] = {each.split(":")[1] for each in RIGHTS if each != right}

    with pytest.raises(ScalingFailedError, match=f"AccessDenied.*{missing}"):
        await service.scaler.scale(4)


async def test_bounds_that_somebody_narrows_meanwhile_are_kept(service: Emulated) -> None:
    """They are the group's own and are read each time."""
    service.has(desired=2, wanted=2)
    service.client.update_auto_scaling_group(AutoScalingGroupName=GROUP, MaxSize=3)

    assert await service.scaler.scale(5)
    [group] = service.client.describe_auto_scaling_groups()["AutoScalingGroups"]
    assert group["DesiredCapacity"] == len(group["Instances"]) == 3


async def test_a_service_that_is_away_is_no_crash() -> None:
    """A network that is cut; the renders go on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    away = AwsScaler(client=client_of(f"http://127.0.0.1:{port}"), group=GROUP)

    with pytest.raises(ScalingFailedError, match="Could not connect"):
        await away.scale(4)


async def test_a_service_that_answers_something_else_is_no_crash(service: Emulated) -> None:
    """A proxy in between that has a page for everything."""
    elsewhere = AwsScaler(client=client_of(f"{service.url}/moto-api"), group=GROUP)

    with pytest.raises(ScalingFailedError, match=r"'gpu-hosts'.*somebody else answered"):
        await elsewhere.scale(4)

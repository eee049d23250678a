"""A whole platform as a user has it: ``effectmesh up`` in a process, its CLI, its HTTP API."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

from schemas.jobs import ENDINGS

T = TypeVar("T")

WITHIN_S = 120.0
POLL_S = 0.05


def wait_for(look: Callable[[], T | None], *, what: str, within_s: float = WITHIN_S) -> T:
    """Return the first answer that is not ``None``; fail when the time is over."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        answer = look()
        if answer is not None:
            return answer
        time.sleep(POLL_S)
    raise AssertionError(f"{what} did not come within {within_s:g} s")


class Platform:
    """One home, one stack."""

    def __init__(self, *, home: Path, settings: Mapping[str, str]) -> None:
        self.home = home
        chosen = {"EFFECTMESH_HOME": str(home), "EFFECTMESH_HTTP_PORT": "0", **settings}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("EFFECTMESH_")}
        self.environment = {**inherited, **chosen, "NO_COLOR": "1", "COLUMNS": "200"}
        self._process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Start the stack and wait until it takes orders."""
        log = (self.home / "up.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "effectmesh", "up"],
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        log.close()
        wait_for(self._is_up, what="the stack")

    def down(self) -> int:
        """Stop the stack as an operator does; return its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(WITHIN_S)

    def die(self) -> None:
        """Kill the stack's own process as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(WITHIN_S)

    def cli(self, *arguments: str, status: int | None = 0) -> str:
        """Run a command; return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "effectmesh", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        said = done.stdout + done.stderr
        assert status is None or done.returncode == status, f"{arguments}: {said}"
        return said

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and return while it runs."""
        return subprocess.Popen(
            [sys.executable, "-m", "effectmesh", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def data(self, *arguments: str) -> Any:
        """Run a command with ``--json``; return what it prints."""
        return json.loads(self.cli(*arguments, "--json"))

    def http(self, who: str = "user") -> httpx.Client:
        """Return a client with the local user's or the local admin's token."""
        token = json.loads((self.home / "credentials.json").read_text())[who]
        return self.client(token)

    def client(self, token: str) -> httpx.Client:
        """Return a client with any token."""
        return httpx.Client(
            base_url=self.running()["gateway_url"],
            headers={"Authorization": f"Bearer {token}"},
            timeout=60.0,
            trust_env=False,
        )

    def running(self) -> dict[str, Any]:
        """Return what the stack says of itself."""
        return dict(json.loads((self.home / "running.json").read_text()))

    def ask(self, call: Callable[[httpx.Client], httpx.Response], who: str = "user") -> Any:
        """Return the answer to a request, asked again while a part is being started again."""

        def once() -> httpx.Response | None:
            try:
                with self.http(who) as http:
                    answer = call(http)
            except httpx.TransportError:
                return None
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        answer = wait_for(once, what="an answer of the gateway")
        assert answer.status_code < httpx.codes.BAD_REQUEST, answer.text
        return answer.json()

    def upload(self, clip: Path) -> str:
        """Upload a clip; return its video id."""
        body = clip.read_bytes()
        return str(self.ask(lambda http: http.post("/v1/uploads", content=body))["video_id"])

    def order(self, video_id: str, effect: str = "color_correction", **more: object) -> str:
        """Order an effect; return the job id."""
        body = {"video_id": video_id, "effect_type": effect, **more}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self.ask(lambda http: http.post("/v1/jobs", json=body, headers=key))
        return str(answer["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as its user sees it."""
        return dict(self.ask(lambda http: http.get(f"/v1/jobs/{job_id}")))

    def reach(self, job_id: str, *states: str, within_s: float = WITHIN_S) -> dict[str, Any]:
        """Wait until a job is in one of the states; fail at once when it ended in another."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            if job.get("state") in states:
                return job
            assert job.get("state") not in ENDINGS, f"{job['state']}: {job.get('reason')}"
            return None

        return wait_for(look, what=f"{job_id} in {states}", within_s=within_s)

    def events(self, job_id: str) -> Sequence[str]:
        """Return the kinds of a job's events in the order they were stored."""
        return [each["event_type"] for each in self.data("trace", job_id)]

    def told(self, words: str) -> dict[str, Any] | None:
        """Return the newest message to the local user with these words in it."""
        messages = self.ask(lambda http: http.get("/v1/notifications"))["notifications"]
        return next((dict(each) for each in messages if words in each["body"].lower()), None)

    def wallet(self) -> int:
        """Return what the demo tenant may spend, in micro-tokens."""
        return int(self.ask(lambda http: http.get("/v1/wallet"))["available_microtokens"])

    def kill(self, part: str) -> None:
        """Kill one process of the stack as a crash would, and wait until another took its place."""
        before = self.running()["children"][part]
        os.kill(before, signal.SIGKILL)
        wait_for(
            lambda: True if self.running()["children"][part] != before else None,
            what=f"a new {part}",
        )

    def _is_up(self) -> bool | None:
        assert self._process is not None
        said = (self.home / "up.log").read_text()
        assert self._process.poll() is None, f"the stack ended: {said}"
        return True if self.data("status")["running"] else None

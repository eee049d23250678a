"""The whole platform with its media in a bucket: no process shares a folder of clips."""

from __future__ import annotations

import json
from pathlib import Path

from media.s3_client import s3_client
from tests.contract.media_store.servers import KEY_ID, SECRET, moto_server
from tests.e2e.platform import Platform


def test_a_clip_goes_through_all_steps_in_a_bucket(home: Path, city_clip: Path) -> None:
    """Agents elsewhere need nothing but the bucket."""
    with moto_server() as there:
        bucket = s3_client(there, connections=1)
        bucket.create_bucket(Bucket=there.bucket)
        platform = Platform(
            home=home,
            settings={
                "EFFECTMESH_S3_BUCKET": there.bucket,
                "EFFECTMESH_S3_ENDPOINT_URL": there.endpoint_url,
                "EFFECTMESH_S3_ACCESS_KEY_ID": KEY_ID,
                "EFFECTMESH_S3_SECRET_ACCESS_KEY": SECRET,
            },
        )

        story = json.loads(platform.cli("demo", "--clip", str(city_clip), "--json"))

        kept = [each["Key"] for each in bucket.list_objects_v2(Bucket=there.bucket)["Contents"]]
    assert story["job"]["state"] == "COMPLETE"
    assert {key.rpartition("/")[0].split("/tnt_demo")[0] for key in kept} >= {
        "intake/raw",
        "intake/normalized",
        "intake/posters",
    }
    assert any(key.startswith("output/") for key in kept)
    assert any(key.startswith("gallery/") for key in kept)
    assert not (home / "media").exists()

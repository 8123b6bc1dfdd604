"""A real S3 server in one process: OpenStack Swift with its S3 API, its four parts on loopback.

    .venv-s3/bin/python tests/swift_server.py FOLDER PORT

Run by `object_store.py`, in the environment that `tools/set_up.py s3` makes: nothing of the studio is there.
It lists in short pages, so that a test of pages needs few objects, and ends with whoever holds its standard
input.
"""

import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

warnings.simplefilter("ignore")  # eventlet calls itself deprecated

import eventlet  # noqa: E402

eventlet.monkey_patch()

import eventlet.hubs  # noqa: E402
import eventlet.wsgi  # noqa: E402
from swift.common.ring import RingData  # noqa: E402
from swift.common.storage_policy import reload_storage_policies  # noqa: E402
from swift.common.utils import NullLogger, set_swift_dir  # noqa: E402
from swift.common.wsgi import SwiftHttpProtocol, loadapp  # noqa: E402

PARTS = ("account", "container", "object")
PARTITION_POWER = 4
DEVICE = "disk"
SWIFT = """\
[swift-hash]
swift_hash_path_prefix = tests
swift_hash_path_suffix = tests
[storage-policy:0]
name = only
default = yes
"""
PART = """\
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
recon_cache_path = {folder}
log_address = {folder}/no-syslog
mount_check = false
disable_fallocate = true
[pipeline:main]
pipeline = {part}
[app:{part}]
use = egg:swift#{part}
"""
PROXY = """\
[DEFAULT]
swift_dir = {folder}
log_address = {folder}/no-syslog
[pipeline:main]
pipeline = catch_errors bulk s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = {region}
max_bucket_listing = {page}
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {secret} .admin
[filter:slo]
use = egg:swift#slo
"""


class Memory:
    """What Swift would keep in memcached: without it, every request asks for account and container anew."""

    def __init__(self) -> None:
        self._values: dict[str, object] = {}

    def get(self, key: str, **_options: object) -> object:
        return self._values.get(key)

    def set(self, key: str, value: object, **_options: object) -> None:
        self._values[key] = value

    def delete(self, key: str, **_options: object) -> None:
        self._values.pop(key, None)


def write_ring(folder: Path, part: str, *, port: int) -> None:
    """One disk of one server holds everything."""
    address = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port}
    disk = {"id": 0, "region": 1, "zone": 1, "device": DEVICE, "weight": 1.0, "meta": "", **address}
    RingData([[0] * 2**PARTITION_POWER], [disk], 32 - PARTITION_POWER).save(str(folder / f"{part}.ring.gz"))


def serve(listener: object, conf: Path) -> None:
    """Answer for ever."""
    app, memory = loadapp(str(conf)), Memory()

    def remember(environ: dict[str, object], start_response: object) -> object:
        return app({**environ, "swift.cache": memory}, start_response)

    # AWS's own tools want `ETag` spelt as they spell it
    options = {"protocol": SwiftHttpProtocol, "capitalize_response_headers": False}
    eventlet.wsgi.server(listener, remember, log=NullLogger(), **options)


def main(folder: Path, port: int, environ: Mapping[str, str]) -> None:
    """Write the configuration anew, and serve what the folder holds."""
    eventlet.spawn(end_with_parent)
    (folder / "devices" / DEVICE).mkdir(parents=True, exist_ok=True)
    (folder / "swift.conf").write_text(SWIFT)
    set_swift_dir(str(folder))
    reload_storage_policies()
    for part in PARTS:
        listener = eventlet.listen(("127.0.0.1", 0))
        write_ring(folder, part, port=listener.getsockname()[1])
        conf = folder / f"{part}.conf"
        conf.write_text(PART.format(folder=folder, part=part))
        eventlet.spawn(serve, listener, conf)
    account, user = environ["S3_KEY_ID"].split(":")
    conf = folder / "proxy.conf"
    conf.write_text(
        PROXY.format(
            folder=folder,
            region=environ["S3_REGION"],
            page=environ["S3_PAGE"],
            account=account,
            user=user,
            secret=environ["S3_SECRET"],
        )
    )
    serve(eventlet.listen(("127.0.0.1", port)), conf)


def end_with_parent() -> None:
    """However it ended."""
    eventlet.hubs.trampoline(sys.stdin.fileno(), read=True)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), os.environ)

"""compose.yaml, against the Compose specification and against what the studio needs."""

import json

import compose_spec
import pytest

from tests.deploy.papers import compose


def test_it_is_what_the_specification_allows() -> None:
    parsed = compose_spec.PyCompose.from_json(json.dumps(compose()))
    assert set(parsed.service_names()) == set(compose()["services"])


def test_what_the_specification_does_not_allow_would_be_found() -> None:
    spoiled = compose()
    spoiled["services"]["api"]["imaeg"] = "x"
    with pytest.raises(ValueError, match="imaeg"):
        compose_spec.PyCompose.from_json(json.dumps(spoiled))


def test_the_parts_of_a_team_server_are_there() -> None:
    services = compose()["services"]
    assert {"database", "broker", "bucket", "migrate", "api", "worker", "proxy"} <= set(services)
    assert services["api"]["deploy"]["replicas"] == 2
    for name in ("api", "worker"):
        needs = services[name]["depends_on"]
        assert needs["migrate"]["condition"] == "service_completed_successfully"
    for name in ("database", "broker", "bucket"):
        assert "healthcheck" in services[name]
        assert "ports" not in services[name], "reached by the others alone"


def test_all_of_the_studio_share_rows_bytes_and_bells() -> None:
    services = compose()["services"]
    shared = ("TEXT2SONG_DATABASE_URL", "TEXT2SONG_QUEUE_URL", "TEXT2SONG_BLOBS_URL")
    for name in shared:
        assert len({services[part]["environment"][name] for part in ("migrate", "api", "worker")}) == 1


def test_every_volume_and_service_that_is_named_is_there() -> None:
    whole = compose()
    for service in whole["services"].values():
        assert set(service.get("depends_on", ())) <= set(whole["services"])
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source.startswith(("./", "/")) or source in whole["volumes"]


def test_our_containers_may_do_little_and_have_time_to_end() -> None:
    services = compose()["services"]
    for name in ("migrate", "api", "worker"):
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
    drain = float(services["worker"]["environment"]["TEXT2SONG_DRAIN_SECONDS"])
    assert float(services["worker"]["stop_grace_period"].removesuffix("s")) > drain

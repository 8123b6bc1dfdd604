"""A team in front of one desk, and things of theirs to ask for: what the table of permissions is tried on."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import httpx2

    from tests.studios import Desk
    from tests.users.people import Person

PEOPLE: Final = ("nobody", "rater", "owner", "other", "admin", "revoked", "expired")
"""The columns of the table. Those with a revoked and an expired key are admins who own everything, too."""


@dataclass
class Team:
    """People with keys, and one of them, the owner, who has made things."""

    desk: Desk
    people: dict[str, Person]
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def owner(self) -> Person:
        return self.people["owner"]

    def ask(self, who: str, method: str, path: str, **request: Any) -> httpx2.Response:  # noqa: ANN401  # httpx2's
        """A request in somebody's name; nobody's brings no key."""
        self.desk.client.cookies.clear()
        if who == "nobody":
            return self.desk.client.request(method, path, **request)
        return self.people[who].ask(method, path, **request)

    def new_name(self) -> str:
        return f"name {next(self._numbers)}"

    def prompt(self, *, visibility: str = "private") -> str:
        """The id of a new prompt of the owner's."""
        answer = self.owner.ask("POST", "/prompts", json={"text": "a private thought"})
        return self._shown(str(answer.json()["id"]), visibility)

    def job(self, *, visibility: str = "private", is_over: bool = False) -> str:
        """The id of a new job of the owner's; one that is over can be retried."""
        answer = self.owner.ask("POST", "/generate", json={"prompt": {"text": "a private thought"}})
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        self._shown(job["prompt_id"], visibility)
        if is_over:
            self.owner.ask("DELETE", f"/generate/{job['id']}")
        return str(job["id"])

    def sample(self, *, visibility: str = "private") -> str:
        """The id of a new take of the owner's, with real sound."""
        import uuid

        from tests.audio.samples import record_tone
        from tests.studios import noise_info
        from text2song.audio import service
        from text2song.music.spec import GenerationSpec

        info = noise_info()
        prompt_id = self.prompt()
        spec = GenerationSpec("a private thought", seed=7, duration_seconds=0.5)
        provenance = {
            "model": info.id,
            "revision": info.revision,
            "fingerprint": info.fingerprint,
            "license": info.license,
            "is_trained": False,
            "dtype": "float32",
            "device": "cpu",
            "versions": {"text2song": "1", "torch": "1"},
            "token_ids": [1],
        }
        origin = service.Origin(uuid.UUID(prompt_id), None, self.owner.id, info.id, spec, provenance)
        recording = record_tone(self.desk.studio.blobs, seed=next(self._numbers))
        with self.desk.studio.work() as work:
            sample = service.keep(work, recording, origin)
        self._shown(prompt_id, visibility)
        return str(sample.id)

    def cancelled_job(self) -> str:
        """The id of one that can be retried."""
        return self.job(is_over=True)

    def shared_cancelled_job(self) -> str:
        return self.job(is_over=True, visibility="shared")

    def shared_prompt(self) -> str:
        return self.prompt(visibility="shared")

    def shared_job(self) -> str:
        return self.job(visibility="shared")

    def shared_sample(self) -> str:
        return self.sample(visibility="shared")

    def owner_id(self) -> str:
        return str(self.owner.id)

    def admin_id(self) -> str:
        return str(self.people["admin"].id)

    def key(self) -> str:
        """The id of a new key of the owner's."""
        answer = self.owner.ask("POST", "/keys", json={"name": "spare"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def _shown(self, prompt_id: str, visibility: str) -> str:
        if visibility != "private":
            answer = self.owner.ask("PATCH", f"/prompts/{prompt_id}", json={"visibility": visibility})
            assert answer.status_code == 200, answer.text
        return prompt_id


def gather(desk: Desk) -> Team:
    """The whole team, with keys as the columns of the table say."""
    from dataclasses import replace

    from tests.users.people import add_key, add_person_with_key
    from text2song.users import authentication, keys

    roles = {"rater": "rater", "owner": "creator", "other": "creator", "admin": "admin"}
    people = {who: add_person_with_key(desk.studio, who, role=role).at(desk) for who, role in roles.items()}
    admin = people["admin"]
    soon = desk.clock.now + dt.timedelta(seconds=1)
    people["expired"] = replace(admin, key=add_key(desk.studio, admin.actor, expires_at=soon))
    people["revoked"] = replace(admin, key=add_key(desk.studio, admin.actor))
    with desk.studio.work() as work:
        identity = authentication.by_key(work, people["revoked"].key)
        assert identity.key_id is not None
        keys.revoke(work, identity.key_id)
    desk.clock.advance(1)
    return Team(desk, people)

"""Adapters for tests: rows as the registry will write them, without the files behind them."""

from text2song.adapters.tables import Adapter
from text2song.artifacts.digest import sha256_hex
from text2song.names import NOISE_MODEL
from text2song.studio import Studio


def add_adapter(
    studio: Studio, *, name: str = "warm", version: str = "1.2.0", base_model: str = NOISE_MODEL
) -> Adapter:
    """A registered adapter."""
    with studio.work() as work:
        adapter = Adapter(
            name=name,
            version=version,
            base_model=base_model,
            storage_path=f"adapters/{name}-{version}",
            digest=sha256_hex(f"{name}@{version}".encode()),
            created_at=work.clock(),
        )
        work.session.add(adapter)
    return adapter

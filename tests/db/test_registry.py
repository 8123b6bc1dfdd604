from pathlib import Path

import text2song
from text2song.db.registry import FEATURES, metadata

PACKAGE = Path(text2song.__file__).parent


def test_every_feature_with_tables_is_registered() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/tables.py")} == set(FEATURES)


def test_the_metadata_holds_the_tables_of_all_features() -> None:
    assert set(metadata().tables) >= {
        "users",
        "models",
        "model_workers",
        "prompts",
        "adapters",
        "audio_samples",
        "generation_jobs",
        "generation_takes",
    }


def test_every_constraint_has_a_name_so_that_a_later_migration_can_drop_it() -> None:
    unnamed = [
        f"{table.name}: {constraint}"
        for table in metadata().tables.values()
        for constraint in (*table.constraints, *table.indexes)
        if not getattr(constraint, "name", None)
    ]
    assert unnamed == []

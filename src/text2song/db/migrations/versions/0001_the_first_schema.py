"""The first schema."""

from typing import Final

import sqlalchemy as sa
import structlog
from alembic import op
from sqlalchemy.dialects import postgresql

revision: Final = "0001"
down_revision: Final = None
branch_labels: Final = None
depends_on: Final = None

log = structlog.get_logger(__name__)

JSON: Final = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT: Final = sa.DateTime(timezone=True)
WHOLE: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES: Final = (
    "users",
    "models",
    "model_workers",
    "prompts",
    "adapters",
    "audio_samples",
    "doomed_blobs",
    "generation_jobs",
    "generation_takes",
)


def upgrade() -> None:
    """Apply, each table after those that it points to."""
    _create_users()
    _create_models()
    _create_prompts_and_adapters()
    _create_audio()
    _create_generation_jobs()
    _index_generation_jobs()
    _create_generation_takes()
    if op.get_bind().dialect.name == "postgresql":
        _help_the_search()


def _help_the_search() -> None:
    """An index for `words LIKE '%piece%'`, where the server has the extension for it and lets us.

    Without it, searching for a rare word reads every prompt. An extension in a schema where nobody looks
    is as good as none.
    """
    connection = op.get_bind()
    try:
        with connection.begin_nested():
            connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
            op.create_index(
                "ix_prompts_words_trigrams",
                "prompts",
                ["words"],
                postgresql_using="gin",
                postgresql_ops={"words": "gin_trgm_ops"},
            )
    except sa.exc.DBAPIError as error:
        log.info("the search for prompts has no index", reason=str(error.orig))


def downgrade() -> None:
    """Take back; an index goes with its table."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_users() -> None:
    """Who asks."""
    op.create_table(
        "users",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )


def _create_models() -> None:
    """What is served, and by whom."""
    op.create_table(
        "models",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("license", sa.Text(), nullable=False),
        sa.Column("is_trained", sa.Boolean(), nullable=False),
        sa.Column("sample_rate", WHOLE, nullable=False),
        sa.Column("frame_rate", sa.Double(), nullable=False),
        sa.Column("channels", WHOLE, nullable=False),
        sa.Column("codebooks", WHOLE, nullable=False),
        sa.Column("codebook_size", WHOLE, nullable=False),
        sa.Column("max_duration_seconds", sa.Double(), nullable=False),
        sa.Column("module_shapes", JSON, nullable=False),
        sa.Column("vocabulary", JSON, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("announced_at", MOMENT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("name", name=op.f("uq_models_name")),
    )
    op.create_table(
        "model_workers",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("capacity", WHOLE, nullable=False),
        sa.Column("speed", sa.Double(), nullable=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("heartbeat_at", MOMENT, nullable=False),
        sa.Column("left_at", MOMENT, nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_model_workers_model_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_workers")),
    )
    op.create_index(op.f("ix_model_workers_model_id"), "model_workers", ["model_id"])


def _create_prompts_and_adapters() -> None:
    """What is asked for."""
    op.create_table(
        "prompts",
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_prompts_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompts")),
    )
    op.create_table(
        "adapters",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("base_model", sa.String(length=200), nullable=False),
        sa.Column("storage_path", sa.String(length=300), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("training_dataset_id", sa.Uuid(), nullable=True),
        sa.Column("training_config", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adapters")),
        sa.UniqueConstraint("digest", name=op.f("uq_adapters_digest")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_adapters_name_version")),
    )


def _create_audio() -> None:
    """What was made, and bytes to be removed."""
    op.create_table(
        "audio_samples",
        sa.Column("prompt_id", sa.Uuid(), nullable=False),
        sa.Column("adapter_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("storage_path", sa.String(length=300), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", WHOLE, nullable=False),
        sa.Column("duration_seconds", sa.Double(), nullable=False),
        sa.Column("sample_rate", WHOLE, nullable=False),
        sa.Column("channels", WHOLE, nullable=False),
        sa.Column("loudness_lufs", sa.Double(), nullable=True),
        sa.Column("true_peak_dbtp", sa.Double(), nullable=True),
        sa.Column("peaks_path", sa.String(length=300), nullable=False),
        sa.Column("codes_path", sa.String(length=300), nullable=False),
        sa.Column("codes_sha256", sa.String(length=64), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("generation_params", JSON, nullable=False),
        sa.Column("provenance", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["adapter_id"], ["adapters.id"], name=op.f("fk_audio_samples_adapter_id")),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name=op.f("fk_audio_samples_prompt_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_audio_samples_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audio_samples")),
    )
    for column in ("codes_path", "peaks_path", "prompt_id", "storage_path"):
        op.create_index(op.f(f"ix_audio_samples_{column}"), "audio_samples", [column])
    op.create_index(op.f("ix_audio_samples_adapter_id_id"), "audio_samples", ["adapter_id", "id"])
    op.create_table(
        "doomed_blobs",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_doomed_blobs")),
    )
    for column in ("due_at", "key"):
        op.create_index(op.f(f"ix_doomed_blobs_{column}"), "doomed_blobs", [column])


def _create_generation_jobs() -> None:
    """The queue."""
    op.create_table(
        "generation_jobs",
        sa.Column("prompt_id", sa.Uuid(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("num_samples", WHOLE, nullable=False),
        sa.Column("frames_total", WHOLE, nullable=False),
        sa.Column("sides", JSON, nullable=False),
        sa.Column("generation_params", JSON, nullable=False),
        sa.Column("from_sample", sa.Uuid(), nullable=True),
        sa.Column("idempotency_digest", sa.String(length=64), nullable=True),
        sa.Column("request_digest", sa.String(length=64), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("priority", WHOLE, nullable=False),
        sa.Column("turn_key", sa.String(length=64), nullable=False),
        sa.Column("rows", WHOLE, nullable=False),
        sa.Column("cost", sa.Double(), nullable=False),
        sa.Column("sequence", WHOLE, nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("attempts", WHOLE, nullable=False),
        sa.Column("failures", WHOLE, nullable=False),
        sa.Column("lost_leases", WHOLE, nullable=False),
        sa.Column("not_before", MOMENT, nullable=True),
        sa.Column("claim_token", sa.Uuid(), nullable=True),
        sa.Column("claimed_by", sa.String(length=128), nullable=True),
        sa.Column("claimed_at", MOMENT, nullable=True),
        sa.Column("lease_renewed_at", MOMENT, nullable=True),
        sa.Column("lease_expires_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("retry_of", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prompt_id"], ["prompts.id"], name=op.f("fk_generation_jobs_prompt_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["retry_of"],
            ["generation_jobs.id"],
            name=op.f("fk_generation_jobs_retry_of"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_generation_jobs_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation_jobs")),
        sa.UniqueConstraint("idempotency_digest", name=op.f("uq_generation_jobs_idempotency_digest")),
    )


def _index_generation_jobs() -> None:
    """For the claim, the sweep, and whoever looks for the jobs of a prompt."""
    for columns in (
        ("prompt_id",),
        ("retry_of",),
        ("status", "id"),
        ("status", "priority", "id"),
        ("turn_key", "claimed_at"),
    ):
        op.create_index(op.f(f"ix_generation_jobs_{'_'.join(columns)}"), "generation_jobs", list(columns))


def _create_generation_takes() -> None:
    """The takes of each job."""
    op.create_table(
        "generation_takes",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("take", WHOLE, nullable=False),
        sa.Column("side", WHOLE, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("seed", WHOLE, nullable=False),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("adapter_id", sa.Uuid(), nullable=True),
        sa.Column("audio_id", sa.Uuid(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["adapter_id"], ["adapters.id"], name=op.f("fk_generation_takes_adapter_id")),
        sa.ForeignKeyConstraint(
            ["audio_id"], ["audio_samples.id"], name=op.f("fk_generation_takes_audio_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["generation_jobs.id"], name=op.f("fk_generation_takes_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation_takes")),
        sa.UniqueConstraint("audio_id", name=op.f("uq_generation_takes_audio_id")),
        sa.UniqueConstraint("job_id", "take", name=op.f("uq_generation_takes_job_id_take")),
    )

"""Runs the migrations on the connection that the store hands over, in its transaction."""

from alembic import context

from zyz_match.storage.migrations import VERSION_TABLE
from zyz_match.storage.tables import metadata


def run() -> None:
    """Migrate within the caller's transaction: all revisions or none."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,
        version_table=VERSION_TABLE,
    )
    with context.begin_transaction():
        context.run_migrations()


run()

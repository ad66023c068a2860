"""What alembic runs: in the connection and the transaction that `upgrade.py` gives it."""

from alembic import context

from delivery.service.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,  # SQLite changes a column by copying its table
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()

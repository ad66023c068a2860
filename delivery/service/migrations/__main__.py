"""Write the next step of the history: what `tables.py` has and the newest step has not."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from delivery.service.migrations.upgrade import config_for, upgrade_to_head


def main(message: str) -> None:
    """message: what changed, a few words."""
    with TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/empty.sqlite")
        upgrade_to_head(engine)
        with engine.begin() as connection:
            config = config_for(connection)
            steps = len(list(ScriptDirectory.from_config(config).walk_revisions()))
            command.revision(config, message, autogenerate=True, rev_id=f"step_{steps + 1:04d}")
        engine.dispose()
    versions = Path(__file__).parent / "versions"
    sys.stdout.write(f"the step is in {versions}; read it, then `ruff format` it\n")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))

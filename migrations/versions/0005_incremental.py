"""How far each part of a source was read, and when it was last read as a whole.

Revision 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("reach", sa.Text(), nullable=True))
    op.create_table(
        "cursors",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=True),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("is_disordered", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("moved_at", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("job", "part", name="pk_cursors"),
    )
    op.create_table(
        "whole_reads",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("began_at", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job", name="pk_whole_reads"),
    )

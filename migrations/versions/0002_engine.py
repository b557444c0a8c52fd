"""What the engine remembers beside its links: marks in a read, approvals, contested fields, when to try again.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("digests", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("resume_at", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("pinned_by", sa.Text(), nullable=True))
    op.add_column("changes", sa.Column("contest", sa.Text(), nullable=True))
    op.add_column("links", sa.Column("contest", sa.Text(), nullable=True))
    op.add_column("links", sa.Column("written_at", sa.Text(), nullable=True))
    op.add_column("rejects", sa.Column("retry", sa.Text(), nullable=False, server_default="each_run"))
    op.add_column("rejects", sa.Column("fingerprint", sa.LargeBinary(), nullable=True))
    op.add_column("rejects", sa.Column("marked_by", sa.Text(), nullable=True))
    op.add_column("rejects", sa.Column("rested_at", sa.Text(), nullable=True))
    op.create_table(
        "reads",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("mark", sa.LargeBinary(), nullable=False),
        sa.Column("saved_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job", name="pk_reads"),
    )
    op.create_table(
        "approvals",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("digests", sa.Text(), nullable=False),
        sa.Column("approved_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job", name="pk_approvals"),
    )

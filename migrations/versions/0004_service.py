"""What people ask of a running service: jobs that are paused, runs that are to stop. And what people were told.

Revision 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("stop_reason", sa.Text(), nullable=True))
    op.create_table(
        "job_states",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("paused_at", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("job", name="pk_job_states"),
    )
    op.create_table(
        "alert_states",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.Column("failing", sa.Text(), nullable=True),
        sa.Column("late_at", sa.Text(), nullable=True),
        sa.Column("held", sa.Text(), nullable=True),
        sa.Column("pinged", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job", name="pk_alert_states"),
    )

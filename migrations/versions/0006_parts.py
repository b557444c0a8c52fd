"""Which part of a source each link and each change is of.

Revision 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("links", sa.Column("part", sa.Text(), nullable=False, server_default=""))
    op.add_column("changes", sa.Column("part", sa.Text(), nullable=False, server_default=""))
    in_a_part = sa.text("part <> ''")
    op.create_index("ix_links_part", "links", ["job", "part"], sqlite_where=in_a_part, postgresql_where=in_a_part)

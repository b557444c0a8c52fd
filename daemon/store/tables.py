"""The tables, the same on SQLite and PostgreSQL. The migrations make them; a test compares the two.

Hot statements go to the driver as text (see `statements`), so a column renamed here has to be renamed there. What only
PostgreSQL is told (`postgresql_where`) stands in the migrations alone: said here, it would load that dialect for all.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from .columns import Moment

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

RowNumber = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite counts rows by itself only in a column that is called INTEGER."""

runs = Table(
    "runs",
    metadata,
    Column("id", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("fire_time", Moment),  # null: not from a schedule
    Column("revision", Text, nullable=False),
    Column("selection", Text),  # what the job picks, block by block; null where later runs are not measured by it
    Column("phase", Text, nullable=False),
    Column("ending", Text),  # null until the run is over
    Column("counts", Text, nullable=False),
    Column("certificate", Text),
    Column("is_complete", Boolean, nullable=False, server_default=text("false")),
    Column("verdicts", Text),
    Column("error", Text, nullable=False, server_default=""),
    Column("owner", Text, nullable=False, server_default=""),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("resumes", Text),  # the run whose work this one takes up
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("digests", Text),  # of the withheld changes by kind; null where nothing was withheld
    Column("resume_at", Moment),  # when the work of a waiting run goes on
    Column("pinned_by", Text),  # the held run whose approval it carries, or the id of a saved plan
    Column("stop_reason", Text),  # why it was asked to stop; null where nobody did
    Column("reach", Text),  # how much it read: whole, since, backfill; null until it is over
    PrimaryKeyConstraint("id"),
    UniqueConstraint("job", "fire_time"),
)
Index("ix_runs_job_id", runs.c.job, runs.c.id)
IS_OPEN = text("phase <> 'over'")
"""Said in these words by who looks for runs that are not over: SQLite uses the index of the few only then."""
Index("ix_runs_open", runs.c.phase, sqlite_where=IS_OPEN)

changes = Table(
    "changes",
    metadata,
    Column("run", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("job", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("target_id", Text),
    Column("version", Text),
    Column("document", Text),
    Column("before", Text),
    Column("fields", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("owned", Boolean, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("fate", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("status", Integer),
    Column("updated_at", Text, nullable=False),
    Column("contest", Text),  # see links
    Column("part", Text, nullable=False, server_default=""),  # see links
    PrimaryKeyConstraint("run", "seq"),
)
Index("ix_changes_run_key", changes.c.run, changes.c.key)
# Both stay small: they hold only what is still to be done, whatever the length of the run.
_PLANNED = text("fate = 'planned'")
_OPEN = text("fate IN ('sent', 'unknown')")
Index(
    "ix_changes_planned",
    changes.c.run,
    changes.c.seq,
    changes.c.kind,
    sqlite_where=_PLANNED,
)
Index("ix_changes_open", changes.c.job, changes.c.idempotency_key, sqlite_where=_OPEN)

links = Table(
    "links",
    metadata,
    Column("id", RowNumber, nullable=False),  # in order of arrival, which keeps the inserts at the table's end
    Column("job", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("target_id", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("version", Text),
    Column("owned", Boolean, nullable=False),
    Column("contest", Text),  # fields that the target keeps setting back, each with how often; null for none
    Column("written_at", Moment),  # when we last wrote the target's record; null where we never did
    Column("part", Text, nullable=False, server_default=""),  # of the source, in which its record was met last
    PrimaryKeyConstraint("id"),
    UniqueConstraint("job", "key"),
)
Index("ix_links_job_id", links.c.job, links.c.id)  # without it, the walk for deletes sorts the job's links each step
_IN_A_PART = text("part <> ''")
Index("ix_links_part", links.c.job, links.c.part, sqlite_where=_IN_A_PART)

documents = Table(
    "documents",
    metadata,
    Column("link", RowNumber, ForeignKey("links.id", ondelete="CASCADE"), autoincrement=False, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("link"),
)

rejects = Table(
    "rejects",
    metadata,
    Column("job", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("kind", Text),  # null: the record never became a change
    Column("reason", Text, nullable=False),
    Column("status", Integer),
    Column("excerpt", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("run", Text, nullable=False),
    Column("retry", Text, nullable=False, server_default="each_run"),  # when it may be tried again
    Column("fingerprint", LargeBinary),  # of the document that was refused; null for none
    Column("marked_by", Text),  # the run whose mark covers it, if that is the latest that met it; see reads
    Column("rested_at", Moment),  # when a run last met it and left it alone; null: not since it was tried
    PrimaryKeyConstraint("job", "key"),
)

reads = Table(
    "reads",
    metadata,
    Column("job", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("mark", LargeBinary, nullable=False),  # where the read stands, for a run that takes it up
    Column("saved_at", Moment, nullable=False),
    PrimaryKeyConstraint("job"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("job", Text, nullable=False),
    Column("part", Text, nullable=False),  # empty where the source is one part
    Column("value", Text, nullable=False),  # as JSON, just as the source writes it
    Column("base", Text),  # where the last read that came to its end left it; null before that
    Column("revision", Text, nullable=False),
    Column("is_disordered", Boolean, nullable=False, server_default=text("false")),
    Column("moved_at", Moment, nullable=False),
    Column("run", Text, nullable=False, server_default=""),  # empty: a person set it
    PrimaryKeyConstraint("job", "part"),
)

whole_reads = Table(
    "whole_reads",
    metadata,
    Column("job", Text, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("run", Text, nullable=False),
    PrimaryKeyConstraint("job"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("job", Text, nullable=False),
    Column("run", Text, nullable=False),  # the held run whose withheld changes are released
    Column("digests", Text, nullable=False),
    Column("approved_at", Moment, nullable=False),
    PrimaryKeyConstraint("job"),
)

target_records = Table(
    "target_records",
    metadata,
    Column("run", Text, nullable=False),
    Column("target_id", Text, nullable=False),
    Column("match_key", Text),
    Column("document", Text, nullable=False),
    Column("version", Text),
    PrimaryKeyConstraint("run", "target_id"),
)
Index("ix_target_records_run_match_key", target_records.c.run, target_records.c.match_key)

job_states = Table(
    "job_states",
    metadata,
    Column("job", Text, nullable=False),
    Column("paused_at", Moment),  # null: not paused
    Column("reason", Text, nullable=False, server_default=""),  # why it is paused
    Column("failures", Integer, nullable=False, server_default="0"),  # of its runs, in a row
    PrimaryKeyConstraint("job"),
)

alert_states = Table(
    "alert_states",
    metadata,
    Column("job", Text, nullable=False),
    Column("since", Moment, nullable=False),  # when the job was first looked at for alerts
    Column("failing", Text),  # the run whose failure was told; null: nothing is to be taken back
    Column("late_at", Moment),  # when lateness was told; null: it is not late
    Column("held", Text),  # what holds the job, as it was told
    Column("pinged", Text),  # the latest run that a heartbeat was told of
    PrimaryKeyConstraint("job"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, nullable=False),
    Column("owner", Text, nullable=False),  # empty: released
    Column("fence", BigInteger, nullable=False),
    Column("acquired_at", Moment, nullable=False),
    Column("until", Moment, nullable=False),
    Column("host", Text, nullable=False),
    Column("machine", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Text, nullable=False),
    Column("until_ticks", BigInteger),  # the end once more, in ms of the machine's monotonic clock, which nobody sets
    PrimaryKeyConstraint("name"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("profile", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("saved_at", Moment, nullable=False),
    PrimaryKeyConstraint("profile"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("saved_at", Moment, nullable=False),
    PrimaryKeyConstraint("name"),
)

meta = Table(
    "meta",
    metadata,
    Column("name", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    PrimaryKeyConstraint("name"),
)

"""From what was found to the parts of an explanation. Pure: nothing is asked here."""

from daemon.errors import RefusedError
from daemon.spec import Job
from daemon.values import Document

from .canonical import fingerprint, readable
from .change import Link
from .diff import differing
from .explanation import InSource, InTarget, Mapped, Remembered, Seen
from .forecast import Forecast, Verb
from .looking import Looked
from .mapping import JobMapping, UnmappableError
from .search import Search, Sighting

NO_WAY = "the job declares no way to look: neither target.lookup nor target.list"
UNREADABLE = "the record is no JSON object"


def telling(found: Search | None) -> Sighting | None:
    """Return the record that a run would take; one that `where` keeps out only where there is no other."""
    sightings = found.sightings if found is not None else []
    return next((one for one in sightings if one.let_in is not False), sightings[0] if sightings else None)


def in_source(job: Job, found: Search | None) -> InSource:
    """Return what the source holds; None says that it was not asked."""
    asked = f"{job.source.connection}: {job.source.said}"
    if found is None:
        return InSource(asked, Seen.NOT_ASKED)
    one = telling(found)
    seen = Seen.FOUND if one is not None else Seen.UNKNOWN if found.error is not None else Seen.ABSENT
    trouble = str(found.error) if found.error is not None else ""
    return InSource(
        asked,
        seen,
        page=one.page if one is not None else None,
        part=one.part.name if one is not None else "",
        record=one.record if one is not None else None,
        times=found.times,
        let_in=one.let_in if one is not None else None,
        where=job.where,
        pages=found.pages,
        records=found.records,
        certificate=found.certificate,
        trouble=trouble or (UNREADABLE if one is not None and one.record is None else ""),
    )


def mapped(mapping: JobMapping, one: Sighting | None) -> Mapped | None:
    """Return the document that a record makes, or how far it gets; None without a record."""
    if one is None or one.record is None:
        return None
    mapping = mapping.within(one.part.scope)
    try:
        document: Document | None = mapping.document(one.record)
    except UnmappableError:
        document = None
    return Mapped(document, mapping.tried(one.record))


def remembered(
    link: Link | None, document: Document | None, one: Sighting | None, wanted: Document | None
) -> Remembered | None:
    """Return what earlier runs left behind, compared with what the source says now."""
    if link is None:
        return None
    return Remembered(
        link,
        document,
        same_raw=link.raw == one.mark if one is not None and link.raw else None,
        same_document=link.fingerprint == fingerprint(wanted) if wanted is not None and link.fingerprint else None,
    )


def in_target(job: Job, mapping: JobMapping, looked: Looked | None, wanted: Document | None) -> InTarget:
    """Return what the target holds, compared with what is wanted; None says that it was not asked."""
    asked = job.target.connection + (f", {looked.how}" if looked is not None and looked.how else "")
    if looked is None:
        return InTarget(asked, Seen.NOT_ASKED)
    if not looked.how:
        return InTarget(asked, Seen.NOT_ASKED, trouble=NO_WAY)
    if isinstance(looked.error, RefusedError) and looked.error.status is None:
        return InTarget(asked, Seen.NOT_ASKED, trouble=str(looked.error))
    trouble = str(looked.error) if looked.error is not None else ""
    seen = Seen.FOUND if looked.records else Seen.UNKNOWN if looked.error is not None else Seen.ABSENT
    fields = None
    if wanted is not None and len(looked.records) == 1:
        fields = differing(wanted, looked.records[0].document, without=mapping.set_once)
    return InTarget(asked, seen, looked.records, fields, trouble)


def hints(
    job: Job,
    forecast: Forecast,
    target: InTarget,
    link: Link | None,
    *,
    revision_changed: bool,
    under_way: str | None,
    goes_on: bool,
) -> tuple[str, ...]:
    """Return what else the operator should know to understand the decision.

    `under_way` is a run that goes on now; `goes_on` says that the next run takes up a read that was cut off.
    """
    quiet = link is not None and forecast.verb in {Verb.NOTHING, Verb.SKIP, Verb.KEEP}
    found = [_SINCE] if job.source.incremental is not None else []
    if under_way is not None:
        found.append(f"run {under_way} of this job is under way; what it does comes before this")
    if goes_on:
        found.append(
            "the next run goes on with a read that was cut off; a record that was met before the cut is looked at "
            "again by the run after it"
        )
    if revision_changed:
        found.append("the job in the file is another one than at the last run, so every record is looked at anew")
    if quiet and target.differing and forecast.verb is Verb.NOTHING:
        found.append(
            f"the target holds {', '.join(target.differing)} otherwise: changed there, behind this job. {_LOOK}"
        )
    if quiet and target.seen is Seen.ABSENT:
        found.append(f"the target has no such record any more. {_LOOK}")
    if link is not None and target.records and all(one.id != link.target_id for one in target.records):
        ids = ", ".join(one.id for one in target.records)
        found.append(f"the link names the target id {link.target_id}, and what was found has {ids}")
    others = [one.match for one in target.records if link is not None and one.match not in {None, link.key}]
    if others:
        found.append(
            f"the target's record has the key {readable(others[0] or '')} now; if the source gives that one, the "
            "record is kept under it"
        )
    return tuple(found) if job.compare == "links" else tuple(one for one in found if _LOOK not in one)


_SINCE = "an incremental run reads what changed since its cursor; a record from before it comes with the next full read"
_LOOK = "A job that compares with its links does not look there; `compare: target` in the job file makes it look"

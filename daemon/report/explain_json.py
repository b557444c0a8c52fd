"""The stable JSON form of an explanation. Keys are only ever added; docs/reference/cli.md lists them."""

from dataclasses import asdict
from typing import Any

from daemon.sync.canonical import readable
from daemon.sync.explanation import (
    Explanation,
    History,
    InSource,
    InTarget,
    Mapped,
    PastChange,
    Remembered,
)
from daemon.sync.forecast import Forecast
from daemon.values import MISSING

from .json import certificate, change, document, kept


def explanation(subject: Explanation) -> bytes:
    """Return one JSON object, in the order of the text."""
    return document(
        {
            "job": subject.job,
            "key": readable(subject.key),
            "exit_code": subject.exit,
            "source": _source(subject.source),
            "document": _mapped(subject.mapped) if subject.mapped else None,
            "link": _remembered(subject.remembered) if subject.remembered else None,
            "target": _target(subject.target),
            "reject": kept(subject.reject) if subject.reject else None,
            "unresolved": [change(one) for one in subject.unresolved],
            "history": _history(subject.history),
            "decision": _decision(subject.forecast),
            "requests": [asdict(one) for one in subject.requests],
            "request_trouble": subject.request_trouble,
            "hints": subject.hints,
            "near": subject.near,
        }
    )


def _source(source: InSource) -> dict[str, Any]:
    return {
        "asked": source.asked,
        "seen": source.seen,
        "page": source.page,
        "part": source.part,
        "record": source.record,
        "times": source.times,
        "where": source.where,
        "let_in": source.let_in,
        "pages": source.pages,
        "records": source.records,
        "certificate": certificate(source.certificate) if source.certificate else None,
        "trouble": source.trouble,
    }


def _mapped(mapped: Mapped) -> dict[str, Any]:
    fields = [
        {
            "name": one.name,
            "value": None if one.value is MISSING else one.value,
            "left_out": one.value is MISSING,
            "set_once": one.set_once,
            "trouble": one.trouble,
        }
        for one in mapped.fields
    ]
    return {"document": mapped.document, "fields": fields}


def _remembered(remembered: Remembered) -> dict[str, Any]:
    link = remembered.link
    return {
        "target_id": link.target_id,
        "owned": link.owned,
        "version": link.version,
        "same_record": remembered.same_raw,
        "same_document": remembered.same_document,
        "document": remembered.document,
    }


def _target(target: InTarget) -> dict[str, Any]:
    records = [{"id": one.id, "version": one.version, "record": one.document} for one in target.records]
    return {
        "asked": target.asked,
        "seen": target.seen,
        "records": records,
        "differing": target.differing,
        "trouble": target.trouble,
    }


def _history(history: History) -> dict[str, Any]:
    return {
        "changes": [_past(one) for one in history.changes],
        "runs": history.runs,
        "since": history.since,
        "whole": history.whole,
        "under_way": history.under_way,
    }


def _past(past: PastChange) -> dict[str, Any]:
    return {"run": past.run, "at": past.at, "status": past.status, **change(past.change)}


def _decision(forecast: Forecast) -> dict[str, Any]:
    return {
        "verb": forecast.verb,
        "why": forecast.why,
        "adopts": forecast.adopts,
        "change": change(forecast.change) if forecast.change else None,
    }

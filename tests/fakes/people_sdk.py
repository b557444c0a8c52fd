"""The functions of an interface for the misbehaving server's collections, as somebody would write them."""

from collections.abc import Iterator
from typing import Any


def __init__(self: Any, client: Any) -> None:  # noqa: N807 - it becomes the interface's
    self.client = client


def get_list(self: Any) -> Any:
    return list(each(self))


def each(self: Any) -> Iterator[Any]:
    page = 1
    while records := self._owner.client.read(self._uri, {"page": page})["users"]:
        yield from records
        page += 1


def get_page(self: Any, page: Any = 1) -> Any:
    return self._owner.client.read(self._uri, {"page": page})


def find(self: Any, external_id: str) -> Any:
    return self._owner.client.read(self._uri, {"external_id": external_id})["users"]


def get(self: Any, identification: str) -> Any:
    return self._owner.client.read(f"{self._uri}/{identification}")


def create(self: Any, data: Any) -> Any:
    return self._owner.client.create(self._uri, data)


def update(self: Any, identification: str, data: Any) -> Any:
    return self._owner.client.update(f"{self._uri}/{identification}", data)


def delete(self: Any, identification: str) -> Any:
    return self._owner.client.delete(f"{self._uri}/{identification}")


def create_twice(self: Any, data: Any) -> Any:
    self._owner.client.create(self._uri, data)
    return self._owner.client.create(self._uri, data)


def broken(self: Any, **fields: Any) -> Any:
    raise KeyError("no such field")


def tell(self: Any) -> Any:
    raise ValueError(f"sent {self._owner.client.request_headers}")

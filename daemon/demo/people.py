"""Made-up people with names as they really occur: accents, apostrophes, other scripts."""

import random
import unicodedata

from daemon.values import Json

GIVEN_NAMES = (
    *("Anna", "José", "Zoë", "Łukasz", "Søren", "Aoife", "Müjde", "Dmitri", "Ngọc", "Chloé", "Björn", "Fatima", "美咲"),
    *("Kwame", "Renée", "Marek", "Inês", "Priya", "Tomáš", "Grace", "Ahmed", "Siobhán", "Lars", "Юлия", "Mei", "Olu"),
)
FAMILY_NAMES = (
    *("Silva", "Müller", "O’Connor", "Nguyễn", "Sørensen", "Kowalski", "García", "田中", "Okafor", "de la Cruz"),
    *("Novák", "Petrov", "Smith", "van den Berg", "Çelik", "Åkesson", "Haddad", "Fernández", "Lee", "Ibrahim"),
    *("Straße", "D’Angelo", "Иванова", "Mbeki", "Lindqvist", "Ó Briain"),
)
DEPARTMENTS = ("Sales", "Support", "Warehouse", "Finance", "Research")
LANGUAGES = ("en", "de", "fr", "ja", "pt-BR")

_PLAIN = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ß": "ss"})
"""Letters that do not decompose into a plain letter and an accent."""


class People:
    """Hires people: the same seed hires the same people in the same order."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._hired = 0
        self._edited = 0

    def hire(self) -> dict[str, Json]:
        """Return a new employee. Some have no language, some a null mobile, some an address in capitals."""
        self._hired += 1
        number = f"E{10_000 + self._hired}"
        given, family = self._chance.choice(GIVEN_NAMES), self._chance.choice(FAMILY_NAMES)
        person: dict[str, Json] = {
            "employee_no": number,
            "status": "active",
            "given_name": given,
            "family_name": family,
            "work_email": self._written(f"{_local_part(given, family)}.{number.lower()}@example.com"),
            "mobile": None if self._chance.random() < 0.1 else self.mobile(),
            "language": self._chance.choice(LANGUAGES),
            "department": self._chance.choice(DEPARTMENTS),
        }
        if self._chance.random() < 0.1:
            del person["language"]
        return person

    def edited(self, person: dict[str, Json]) -> dict[str, Json]:
        """Return the person with one field changed, by turns: another family name, another mobile, none any more."""
        self._edited += 1
        if self._edited % 3 == 1:
            others = [name for name in FAMILY_NAMES if name != person["family_name"]]
            return {**person, "family_name": self._chance.choice(others)}
        if self._edited % 3 == 0 and person["mobile"] is not None:
            return {**person, "mobile": None}
        mobile = self.mobile()
        return {**person, "mobile": mobile if mobile != person["mobile"] else f"{mobile}0"}

    def mobile(self) -> str:
        """Return a telephone number from a range that is set aside for fiction (Ofcom, +44 7700 900)."""
        return f"+44 7700 900{self._chance.randrange(1000):03}"

    def _written(self, address: str) -> str:
        return address.upper() if self._chance.random() < 0.1 else address


def _local_part(given: str, family: str) -> str:
    words = [_ascii(name) for name in (given, family)]
    return ".".join(word for word in words if word) or "staff"


def _ascii(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.lower().translate(_PLAIN))
    return "".join(letter for letter in decomposed if letter.isascii() and letter.isalnum())

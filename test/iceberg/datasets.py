"""Lines to write. Every row that an engine gives is compared with Varve's own answer, so no expectations stand here."""

import random

DAY = 86_400 * 10**9
START = 1_700_006_400 * 10**9  # 2023-11-15T00:00:00Z


def every_type(seed: int, count: int, tag: str = "") -> list[str]:
    """All field types, the ends of their ranges, missing tags and fields, text that needs care.

    `tag` (`,name=value`) goes to every line: other tags are other series, so the points are others.
    """
    rng = random.Random(seed)
    edges = [
        ("i64=9223372036854775807i", "u64=18446744073709551615u", "f64=1.7976931348623157e308"),
        ("i64=-9223372036854775808i", "u64=0u", "f64=5e-324"),
        ("i64=0i", "u64=9223372036854775808u", "f64=-0"),
    ]
    texts = ['""', '"plain"', '"with \\"quotes\\" and \\\\"', '"two\nlines"', '"ünï 🙂 麦"', '"' + "long " * 400 + '"']
    lines = []
    for number in range(count):
        fields = list(edges[number % 3]) if number < 30 else [
            f"i64={rng.randint(-(2**63), 2**63 - 1)}i",
            f"u64={rng.randint(0, 2**64 - 1)}u",
            f"f64={rng.uniform(-1e6, 1e6)!r}",
        ]
        fields += [f"on={rng.choice(['true', 'false'])}", f"text={rng.choice(texts)}"]
        kept = [field for field in fields if rng.random() < 0.8] or fields[:1]
        tags = rng.choice(["", ",host=a", ",host=b,zone=z\\ 1", ",zone=z\\,2", ",host=麦"])
        lines.append(f"types{tags}{tag} {','.join(kept)} {START + number * 1_000_000}")
    return lines


def finer_than_microseconds(count: int) -> list[str]:
    """Points that differ below the microsecond only, before the epoch as well."""
    return [
        f"nanos,host=a value={number}i {base + number * 333}"
        for base in (START, -5 * DAY)
        for number in range(count)
    ]


def whole_microseconds(count: int) -> list[str]:
    return [f"nanos,host=b value={number}i {START + number * 1000}" for number in range(count)]


def narrow(count: int) -> list[str]:
    return [f"grows,host=h{number % 7} first={number}i {START + number * 10**9}" for number in range(count)]


def wide(count: int) -> list[str]:
    """The table of narrow() with a new tag and new fields, between the points that are there."""
    return [
        f'grows,host=h{number % 7},rack=r{number % 3} first={number}i,second={number / 8},third="t{number}" '
        f"{START + number * 10**9 + 500_000_000}"
        for number in range(count)
    ]


def sparse_years(count: int) -> list[str]:
    """A few points a day over years: they settle together in files that span days."""
    return [f"spread,host=h{number % 5} value={number * 0.5} {START - number * DAY // 3}" for number in range(count)]


def dense_day(count: int) -> list[str]:
    """Enough points in one day for a file of its own."""
    return [f"spread,host=h{number % 50} value={number * 0.25} {START + DAY + number * 10**9}" for number in range(count)]


def same_points(value: int, count: int) -> list[str]:
    """The same points each time, with another value, and a field that only some writings have."""
    return [f"twice,host=h{number % 3} value={value}i,f{value}={number}i {START + number * 10**9}" for number in range(count)]

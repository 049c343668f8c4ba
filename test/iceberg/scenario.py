"""
Writes to a running Varve, settles, and reads the tables back with other engines through the Iceberg REST catalog.
One line a check: `ok …`, `FAIL …` or `skip …`. Arguments: URL and token. The working directory holds the objects.
"""

import sys
import traceback
from collections import Counter

import datasets
import engines
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError, UnauthorizedError
from varve import Varve, nanoseconds

url, token = sys.argv[1:3]
varve = Varve(url, token)
pyiceberg = engines.PyIceberg(url, token)
DATABASE = "metrics"


def check(name: str, run) -> None:
    try:
        run()
        print(f"ok   {name}", flush=True)
    except AssertionError as error:
        print(f"FAIL {name}: {error}"[:2000], flush=True)
    except Exception as error:
        print(f"FAIL {name}: {error!r}"[:2000], flush=True)
        traceback.print_exc()


def optional(name: str, make):
    """An engine that may be missing here."""
    try:
        return make()
    except Exception as error:
        print(f"skip {name}: {str(error).splitlines()[0]}", flush=True)
        return None


duckdb_iceberg = optional("DuckDB's iceberg extension", lambda: engines.DuckDbIceberg(url, token))


def varve_rows(database: str, table: str, where: str = "true") -> Counter:
    types = pyiceberg.types(database, table)
    columns, rows = varve.settled_rows(database, table, where)
    wanted = [column for column in types if column != "time_ns"]
    assert sorted(columns) == sorted(wanted), f"got columns {columns} from Varve; want {wanted}"
    return Counter(
        engines.canonical({"time_ns_exact": nanoseconds(row.pop("time")), **row}, types) for row in rows
    )


def same(got: Counter, want: Counter) -> None:
    assert want, "got no row from Varve; want some to compare"
    assert got == want, (
        f"got {got.total()} rows; want {want.total()}; only the engine has {list((got - want).items())[:2]}; "
        f"only Varve has {list((want - got).items())[:2]}"
    )


def compare(engine, database: str, table: str) -> None:
    types = pyiceberg.types(database, table)
    got = Counter(engines.canonical(row, types) for row in engine.rows(database, table))
    same(got, varve_rows(database, table))


def compare_all(when: str, tables: list[str]) -> None:
    readers = [pyiceberg, engines.DuckDbOverPlan(pyiceberg), duckdb_iceberg, clickhouse]
    for engine in [reader for reader in readers if reader is not None]:
        for table in tables:
            check(f"{engine.name}: {table}, {when}", lambda: compare(engine, DATABASE, table))


def raises(kind: type[Exception], run) -> None:
    try:
        answer = run()
    except kind:
        return
    raise AssertionError(f"got {answer!r}; want {kind.__name__}")


# One seal: every type, whole microseconds, the first columns, years of sparse points, one dense day.
varve.write(DATABASE, datasets.every_type(seed=1, count=3000))
varve.write(DATABASE, datasets.whole_microseconds(500))
varve.write(DATABASE, datasets.narrow(700))
varve.write(DATABASE, datasets.sparse_years(1500) + datasets.dense_day(60_000))
varve.write(DATABASE, datasets.same_points(1, 100))
check("a table is not listed before it has settled", lambda: raises(
    NoSuchTableError, lambda: varve.write("unsettled", ["m v=1 1"]) or pyiceberg.catalog.load_table(("unsettled", "m"))
))
varve.seal(DATABASE)
clickhouse = optional("ClickHouse (chdb)", lambda: engines.ClickHouse(url, token))
first = ["types", "nanos", "grows", "spread", "twice"]
check("the tables are listed", lambda: same(
    Counter(pyiceberg.catalog.list_tables(DATABASE)), Counter((DATABASE, table) for table in first)
))
compare_all("after one seal", first)

# Another seal: new columns, times below the microsecond, late points among the settled ones.
old_snapshot = pyiceberg.snapshot(DATABASE, "grows")
old_types = pyiceberg.types(DATABASE, "grows")
old_rows = varve_rows(DATABASE, "grows")
varve.write(DATABASE, datasets.wide(700))
varve.write(DATABASE, datasets.finer_than_microseconds(2000))
varve.write(DATABASE, datasets.every_type(seed=2, count=500, tag=",late=yes"))
varve.seal(DATABASE)
changed = ["types", "nanos", "grows"]
compare_all("with new columns and late points", changed)
check("PyIceberg: a former snapshot is as it was", lambda: same(
    Counter(
        engines.canonical(row, old_types)
        for row in pyiceberg.rows(DATABASE, "grows", snapshot_id=old_snapshot)
    ),
    old_rows,
))

# The same points again: other engines see each writing until the files are merged, Varve sees the last.
for value in (2, 3):
    varve.write(DATABASE, datasets.same_points(value, 100))
    varve.seal(DATABASE)


def every_writing_shows() -> None:
    assert len(pyiceberg.rows(DATABASE, "twice")) == 300, "want the three writings of 100 points"
    assert varve_rows(DATABASE, "twice").total() == 100, "want each point once from Varve"


check("a point written three times shows three times before merging", every_writing_shows)
files_before = {table: len(pyiceberg.files(DATABASE, table)) for table in first}
varve.compact(DATABASE)
compare_all("after merging", first)


def merged() -> None:
    files = {table: len(pyiceberg.files(DATABASE, table)) for table in first}
    assert files["twice"] == 1 < files_before["twice"], f"got files {files_before} before and {files} after"


check("merging made fewer files", merged)

# What engines prune by: partitions, bounds of time, tags and numbers.
for table, row_filter, where in [
    ("spread", "time >= '2023-01-01T00:00:00+00:00' and time < '2023-03-01T00:00:00+00:00'",
     "time >= '2023-01-01' AND time < '2023-03-01'"),
    ("spread", "host = 'h17'", "host = 'h17'"),
    ("spread", "value > 14990.5", "value > 14990.5"),
    ("types", "u64 >= 9223372036854775808", "u64 >= 9223372036854775808"),
    ("types", "i64 = -9223372036854775808", "i64 = -9223372036854775808"),
    ("types", "host is null", "host IS NULL"),
    ("grows", "rack = 'r1'", "rack = 'r1'"),
    ("nanos", "time < '1970-01-01T00:00:00+00:00'", "time < '1970-01-01'"),
]:
    check(f"PyIceberg: {table} where {row_filter}", lambda: same(
        Counter(
            engines.canonical(row, pyiceberg.types(DATABASE, table))
            for row in pyiceberg.rows(DATABASE, table, row_filter=row_filter)
        ),
        varve_rows(DATABASE, table, where),
    ))

# Names that a path or an identifier does not take as they are.
for database, table in [("werk/öl", "druck"), ("a.b c+d%", "x/y z+%,.é")]:
    escaped = table.replace(",", "\\,").replace(" ", "\\ ")
    varve.write(database, [f"{escaped},k=v f=1.5 {datasets.START}"])
    varve.seal(database)
    check(f"PyIceberg: names {database!r}, {table!r}", lambda: compare(pyiceberg, database, table))
    check(f"PyIceberg: {database!r} is listed", lambda: same(
        Counter(pyiceberg.catalog.list_tables((database,))), Counter([(database, table)])
    ))

check("an unknown namespace is none", lambda: raises(NoSuchNamespaceError, lambda: pyiceberg.catalog.list_tables("none")))
check("an unknown table is none", lambda: raises(NoSuchTableError, lambda: pyiceberg.catalog.load_table((DATABASE, "none"))))
check("a table is there or not", lambda: same(
    Counter([pyiceberg.catalog.table_exists((DATABASE, "types")), pyiceberg.catalog.table_exists((DATABASE, "no"))]),
    Counter([True, False]),
))
check("nothing can be written", lambda: raises(
    Exception, lambda: pyiceberg.catalog.load_table((DATABASE, "twice")).delete("host = 'h1'")
))
check("a wrong token is refused", lambda: raises(UnauthorizedError, lambda: engines.PyIceberg(url, "wrong-token")))

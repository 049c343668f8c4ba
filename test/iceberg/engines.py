"""Engines that read Iceberg, each giving rows as dicts in which time is `time_ns_exact`: nanoseconds as an int."""

import json
import os
import tempfile
from decimal import Decimal

import pyarrow as pa
from pyiceberg.catalog import load_catalog


class PyIceberg:
    name = "PyIceberg"

    def __init__(self, url: str, token: str):
        self.catalog = load_catalog("varve", type="rest", uri=f"{url}/iceberg", token=token)

    def types(self, database: str, table: str) -> dict[str, str]:
        schema = self.catalog.load_table((database, table)).schema()
        return {field.name: str(field.field_type) for field in schema.fields}

    def rows(self, database: str, table: str, **scan) -> list[dict]:
        return arrow_rows(self.catalog.load_table((database, table)).scan(**scan).to_arrow())

    def files(self, database: str, table: str) -> list[str]:
        return [task.file.file_path for task in self.catalog.load_table((database, table)).scan().plan_files()]

    def snapshot(self, database: str, table: str) -> int:
        return self.catalog.load_table((database, table)).current_snapshot().snapshot_id


class DuckDbOverPlan:
    """DuckDB's Parquet reader over the files that the catalog's snapshot names."""

    name = "DuckDB over the planned files"

    def __init__(self, pyiceberg: PyIceberg):
        self.pyiceberg = pyiceberg

    def rows(self, database: str, table: str) -> list[dict]:
        import duckdb

        with tempfile.TemporaryDirectory() as folder:
            # Copied by PyIceberg, because DuckDB reaches S3 only by an extension from the network.
            io = self.pyiceberg.catalog.load_table((database, table)).io
            for number, path in enumerate(self.pyiceberg.files(database, table)):
                with io.new_input(path).open() as source, open(f"{folder}/{number}.parquet", "wb") as target:
                    target.write(source.read())
            connection = duckdb.connect()
            connection.execute("SET TimeZone = 'UTC'")
            relation = connection.sql(f"SELECT * FROM read_parquet('{folder}/*.parquet', union_by_name = true)")
            return arrow_rows(relation.to_arrow_table())


class DuckDbIceberg:
    """DuckDB's own Iceberg reading. Its extensions come from the network."""

    name = "DuckDB"

    def __init__(self, url: str, token: str):
        import duckdb

        self.connection = duckdb.connect()
        for extension in ("httpfs", "iceberg"):
            self.connection.install_extension(extension)
            self.connection.load_extension(extension)
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute(f"CREATE SECRET varve (TYPE iceberg, TOKEN '{token}')")
        self.connection.execute(
            f"ATTACH 'varve' AS varve (TYPE iceberg, SECRET varve, ENDPOINT '{url}/iceberg', ACCESS_DELEGATION_MODE 'none')"
        )

    def rows(self, database: str, table: str) -> list[dict]:
        relation = self.connection.sql(f'SELECT * FROM varve."{database}"."{table}"')
        return arrow_rows(relation.to_arrow_table())


class ClickHouse:
    """ClickHouse within this process. It reads files below the working directory only."""

    name = "ClickHouse"

    def __init__(self, url: str, token: str):
        from chdb import session

        self.session = session.Session()
        self.session.query("SET allow_experimental_database_iceberg = 1")
        keys = storage = ""
        if "AWS_ENDPOINT_URL" in os.environ:
            keys = f", '{os.environ['AWS_ACCESS_KEY_ID']}', '{os.environ['AWS_SECRET_ACCESS_KEY']}'"
            storage = f", storage_endpoint = '{os.environ['AWS_ENDPOINT_URL']}/{os.environ['BUCKET']}'"
        self.session.query(
            f"CREATE DATABASE varve ENGINE = DataLakeCatalog('{url}/iceberg'{keys}) SETTINGS catalog_type = 'rest', "
            f"warehouse = 'varve', vended_credentials = 0, auth_header = 'Authorization: Bearer {token}'{storage}"
        )

    def rows(self, database: str, table: str) -> list[dict]:
        answer = self.session.query(
            f"SELECT toUnixTimestamp64Micro(time) AS time_us, * EXCEPT time FROM varve.`{database}.{table}` "
            "SETTINGS output_format_json_quote_64bit_integers = 0, output_format_json_quote_decimals = 0, "
            "output_format_json_quote_64bit_floats = 0",
            "JSONEachRow",
        )
        lines = str(answer).splitlines()
        return [exact_time(json.loads(line, parse_float=str, parse_int=str)) for line in lines]


def arrow_rows(table: pa.Table) -> list[dict]:
    """Rows of an Arrow table; `time` is read as the integer it is, for datetime cannot hold every time."""
    at = table.schema.get_field_index("time")
    micros = table.column(at).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return [exact_time(row) for row in table.set_column(at, "time_us", micros).to_pylist()]


def exact_time(row: dict) -> dict:
    nanos = int(row.pop("time_ns", None) or 0)
    return {"time_ns_exact": int(row.pop("time_us")) * 1000 + nanos, **row}


def canonical(row: dict, types: dict[str, str]) -> tuple:
    """A row as something that can be counted: nulls left out, doubles by their bits."""
    cells = []
    for name, value in row.items():
        if value is None:
            continue
        kind = types.get(name, "time" if name == "time_ns_exact" else "?")
        if kind == "double":
            value = float(value).hex()
        elif kind in ("long", "decimal(20, 0)", "time"):
            value = int(Decimal(value))
        cells.append((name, value))
    return tuple(sorted(cells))

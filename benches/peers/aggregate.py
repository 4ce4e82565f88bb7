"""What an index computes of a trace, computed by DuckDB or Polars in one query, timed and compared.

    aggregate.py duckdb|polars FILE --threads N [--check DIR]

Count, traffic, mean latency, extents, first and last use and five decayed sums of each (tenant, model_id, prefix_id). The time
is that of the query with its result in memory; starting Python and importing the library are not in it. Prints one JSON
object: {"seconds", "prefixes", "events", "version"}. With --check, DIR holds suggest-<half-life>.json as `prefix-indexer
suggest --json` prints them, and every number of every recommendation must be ours too.
"""

import argparse
import json
import os
import sys
import time

HALF_LIVES = {"1m": 60_000, "5m": 300_000, "20m": 1_200_000, "1h": 3_600_000, "6h": 21_600_000}
KEY = ["tenant", "model_id", "prefix_id"]
INTEGERS = ["layer", "page_start", "page_end", "bytes", "timestamp_ms"]
TOLERANCE = 1e-9


def duckdb_rows(path, threads):
    import duckdb

    db = duckdb.connect()
    db.execute(f"SET threads = {threads}")
    if path.endswith(".parquet"):
        source = f"read_parquet('{path}')"
    else:
        columns = {name: "VARCHAR" for name in KEY}
        columns |= {name: "BIGINT" for name in INTEGERS}
        columns["latency_ms"] = "DOUBLE"
        source = f"read_json('{path}', format = 'newline_delimited', columns = {json.dumps(columns)})".replace('"', "'")
    # Not timed: ours finds the newest event by itself, so this is a help for the peer.
    now = db.execute(f"SELECT max(timestamp_ms) FROM {source}").fetchone()[0]
    sums = ", ".join(
        f'sum(pow(0.5, ({now} - timestamp_ms) / {ms}.0)) AS "score_{name}"' for name, ms in HALF_LIVES.items()
    )
    query = f"""
        CREATE TEMP TABLE result AS
        SELECT {", ".join(KEY)}, count(*) AS hit_count, sum(bytes) AS total_bytes, avg(latency_ms) AS avg_latency_ms,
               min(layer) AS layer_min, max(layer) AS layer_max, min(page_start) AS page_start, max(page_end) AS page_end,
               min(timestamp_ms) AS first_seen_ms, max(timestamp_ms) AS last_seen_ms, {sums}
        FROM {source} GROUP BY {", ".join(KEY)}"""
    started = time.perf_counter()
    db.execute(query)
    seconds = time.perf_counter() - started

    def rows():
        cursor = db.execute("SELECT * FROM result")
        names = [column[0] for column in cursor.description]
        return (dict(zip(names, row)) for row in cursor.fetchall())

    prefixes, events = db.execute("SELECT count(*), sum(hit_count) FROM result").fetchone()
    return seconds, prefixes, int(events), rows, duckdb.__version__


def polars_rows(path, threads):
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars as pl

    if path.endswith(".parquet"):
        scan = pl.scan_parquet(path)
    else:
        schema = {name: pl.String for name in KEY} | {name: pl.Int64 for name in INTEGERS} | {"latency_ms": pl.Float64}
        scan = pl.scan_ndjson(path, schema=schema)
    now = scan.select(pl.col("timestamp_ms").max()).collect().item()
    age = pl.lit(now) - pl.col("timestamp_ms")
    query = scan.group_by(KEY).agg(
        pl.len().alias("hit_count"),
        pl.col("bytes").sum().alias("total_bytes"),
        pl.col("latency_ms").mean().alias("avg_latency_ms"),
        pl.col("layer").min().alias("layer_min"),
        pl.col("layer").max().alias("layer_max"),
        pl.col("page_start").min(),
        pl.col("page_end").max(),
        pl.col("timestamp_ms").min().alias("first_seen_ms"),
        pl.col("timestamp_ms").max().alias("last_seen_ms"),
        *(pl.lit(0.5).pow(age / ms).sum().alias(f"score_{name}") for name, ms in HALF_LIVES.items()),
    )
    started = time.perf_counter()
    result = query.collect(engine="streaming")
    seconds = time.perf_counter() - started
    return seconds, len(result), int(result["hit_count"].sum()), result.iter_rows(named=True).__iter__, pl.__version__


def differences(rows, directory):
    """Sentences about what is not the same, at most a few."""
    theirs = {tuple(row[name] for name in KEY): row for row in rows()}
    exact = ["hit_count", "total_bytes", "last_seen_ms", "layer_min", "layer_max", "page_start", "page_end"]
    for name in HALF_LIVES:
        with open(os.path.join(directory, f"suggest-{name}.json"), encoding="utf-8") as file:
            ours = json.load(file)
        if not ours:
            yield f"half-life {name}: no recommendation"
        scores = sorted((row[f"score_{name}"] for row in theirs.values()), reverse=True)
        for place, (row, score) in enumerate(zip(ours, scores)):
            key = tuple(row[part] for part in KEY)
            peer = theirs.get(key)
            if peer is None:
                yield f"{key}: the peer does not know it"
                continue
            pairs = [(what, row[what], peer[what]) for what in exact if row[what] != peer[what]]
            floats = [("avg_latency_ms", row["avg_latency_ms"], peer["avg_latency_ms"])]
            floats += [("score", row["score"], peer[f"score_{name}"]), (f"score of place {place}", row["score"], score)]
            pairs += [pair for pair in floats if abs(pair[1] - pair[2]) > TOLERANCE * max(abs(pair[2]), 1e-300)]
            for what, own, other in pairs:
                yield f"{key}, half-life {name}, {what}: ours {own}, theirs {other}"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("peer", choices=["duckdb", "polars"])
    arguments.add_argument("file")
    arguments.add_argument("--threads", type=int, required=True)
    arguments.add_argument("--check")
    given = arguments.parse_args()
    compute = {"duckdb": duckdb_rows, "polars": polars_rows}[given.peer]
    seconds, prefixes, events, rows, version = compute(given.file, given.threads)
    if given.check:
        found = list(differences(rows, given.check))
        for sentence in found[:5]:
            print(sentence, file=sys.stderr)
        if found:
            sys.exit(f"{given.peer}: {len(found)} numbers differ")
    print(json.dumps({"seconds": seconds, "prefixes": prefixes, "events": events, "version": version}))


main()

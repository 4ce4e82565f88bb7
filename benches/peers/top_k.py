"""Top ten of ranked prefixes, asked of SQLite or Redis from Python; median and p99 of single queries.

    top_k.py sqlite|redis --prefixes N

10,000 tenants of 0.01 % each, as in our own measurement. SQLite: a file, an index on (score) and one on (tenant, score). Redis: a
sorted set for all and one a tenant, over a Unix socket, no persistence. Prints {"version", "all": {"median_ns", "p99_ns"},
"tenant": {...}}.
"""

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TENANTS = 10_000
ASKED = 5_000


def timed(query):
    for _ in range(ASKED // 10):
        query()
    times = []
    for _ in range(ASKED):
        started = time.perf_counter_ns()
        query()
        times.append(time.perf_counter_ns() - started)
    times.sort()
    return {"median_ns": times[len(times) // 2], "p99_ns": times[len(times) * 99 // 100]}


def prefixes(count):
    scores = random.Random(1)
    return ((f"tenant-{number % TENANTS:05}", f"prefix-{number:013}", scores.random()) for number in range(count))


def sqlite(count, directory):
    import sqlite3

    db = sqlite3.connect(os.path.join(directory, "index.db"))
    db.execute("CREATE TABLE prefixes (tenant TEXT, prefix_id TEXT, score REAL)")
    db.executemany("INSERT INTO prefixes VALUES (?, ?, ?)", prefixes(count))
    db.execute("CREATE INDEX by_score ON prefixes (score DESC)")
    db.execute("CREATE INDEX by_tenant ON prefixes (tenant, score DESC)")
    db.execute("ANALYZE")
    db.commit()
    of_all = "SELECT prefix_id, score FROM prefixes ORDER BY score DESC LIMIT 10"
    of_one = "SELECT prefix_id, score FROM prefixes WHERE tenant = ? ORDER BY score DESC LIMIT 10"
    assert len(db.execute(of_one, ("tenant-00042",)).fetchall()) == 10
    return {
        "version": sqlite3.sqlite_version,
        "all": timed(lambda: db.execute(of_all).fetchall()),
        "tenant": timed(lambda: db.execute(of_one, ("tenant-00042",)).fetchall()),
    }


def command(*words):
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def redis(count, directory):
    program = shutil.which("redis-server")
    if not program:
        sys.exit("redis-server is not installed")
    path = os.path.join(directory, "redis")
    options = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", directory]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        for _ in range(500):
            if os.path.exists(path):
                break
            time.sleep(0.01)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        answers = connection.makefile("rb")

        def load(batch):
            connection.sendall(b"".join(batch))
            for _ in batch:
                answers.readline()

        batch = []
        for tenant, prefix_id, score in prefixes(count):
            batch.append(command("ZADD", "all", str(score), f"{tenant}/{prefix_id}"))
            batch.append(command("ZADD", tenant, str(score), prefix_id))
            if len(batch) >= 2_000:
                load(batch)
                batch = []
        load(batch)

        def ask(key):
            connection.sendall(command("ZREVRANGE", key, "0", "9", "WITHSCORES"))
            lines = int(answers.readline()[1:])
            return [answers.read(int(answers.readline()[1:]) + 2) for _ in range(lines)]

        assert len(ask("tenant-00042")) == 20
        connection.sendall(command("INFO", "server"))
        info = answers.read(int(answers.readline()[1:]) + 2).decode()
        version = next(line.split(":")[1].strip() for line in info.splitlines() if line.startswith("redis_version"))
        return {"version": version, "all": timed(lambda: ask("all")), "tenant": timed(lambda: ask("tenant-00042"))}
    finally:
        server.terminate()
        server.wait()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("peer", choices=["sqlite", "redis"])
    arguments.add_argument("--prefixes", type=int, required=True)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps({"sqlite": sqlite, "redis": redis}[given.peer](given.prefixes, directory)))


main()

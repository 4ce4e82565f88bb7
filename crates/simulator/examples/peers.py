"""Compares the simulator's eviction policies with libCacheSim: hits (exactly) and speed.

pip install libcachesim==0.3.5
cargo run --release -p prefix-indexer-simulator --example evictions TRACE 1%,5%,10% --oracle FILE > ours.tsv
python3 peers.py ours.tsv FILE

FILE is the trace in libCacheSim's oracleGeneral format, written by the example, so both replay the same references; libCacheSim
runs its own C loop over it. Exits with 1 if LRU, FIFO, SIEVE or MIN differ in a single hit.
"""

import os
import sys
import time

import libcachesim

POLICIES = {
    "lru": libcachesim.LRU,
    "fifo": libcachesim.FIFO,
    "sieve": libcachesim.Sieve,
    "min": libcachesim.Belady,
    "lfu": libcachesim.LFU,
    "arc": libcachesim.ARC,
    "s3-fifo": libcachesim.S3FIFO,
}
EXACT = ("lru", "fifo", "sieve", "min")
RECORD_BYTES = 24


def main():
    ours, oracle = sys.argv[1:]
    references = os.path.getsize(oracle) // RECORD_BYTES
    differing = 0
    print("eviction\tcapacity\tours\tlibCacheSim\tsame\tours M/s\ttheirs M/s\tratio")
    for line in open(ours, encoding="utf-8"):
        fields = line.rstrip("\n").split("\t")
        if fields[0] not in POLICIES or int(fields[1]) == 0:
            continue
        name, capacity, hits, speed = fields[0], int(fields[1]), int(fields[2]), float(fields[4])
        reader = libcachesim.TraceReader(
            oracle,
            libcachesim.TraceType.ORACLE_GENERAL_TRACE,
            libcachesim.ReaderInitParam(ignore_obj_size=True),
        )
        cache = POLICIES[name](cache_size=capacity)
        started = time.perf_counter()
        miss_ratio, _ = cache.process_trace(reader)
        theirs_speed = references / (time.perf_counter() - started) / 1e6
        theirs = round((1 - miss_ratio) * references)
        same = hits == theirs
        differing += name in EXACT and not same
        print(
            f"{name}\t{capacity}\t{hits}\t{theirs}\t{'yes' if same else 'NO'}"
            f"\t{speed:.1f}\t{theirs_speed:.1f}\t{speed / theirs_speed:.1f}"
        )
    sys.exit(1 if differing else 0)


main()

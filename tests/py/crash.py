"""Load for a server that is killed under it: `crash.py ENDPOINT STATE`.

Verifies what earlier runs were promised, prints "loading", then writes until the server is gone, and notes
every promise in STATE. Each key has one writer, so its history is a sequence: the value must be the one last
acknowledged or one that was attempted since. Bytes follow from key and number: a torn object shows.
"""

import json
import os
import random
import sys
import threading
import time

from fast import Fast, Refused

BUCKET = "crash"
THREADS = 8
KEYS_PER_THREAD = 6
SIZES = [10, 3000, 40_000, 200_000, 1_500_000]
DELETED = -1


def content(key, number):
    generator = random.Random(f"{key} {number}")
    return f"{number:08} ".encode() + generator.randbytes(generator.choice(SIZES))


def observe(s3, key):
    """The number that the key has."""
    deadline = time.monotonic() + 30
    while True:
        try:
            body = s3.get(BUCKET, key)
            number = int(body[:8])
            assert body == content(key, number), f"{key} is torn: {len(body)} bytes, number {number}"
            return number
        except Refused as refused:
            if refused.status == 404:
                return DELETED
            # A write that was cut off may have to be resolved first.
            assert refused.status == 503 and time.monotonic() < deadline, f"{key}: {refused}"
            time.sleep(0.1)


def verify(endpoint, state):
    s3 = Fast(endpoint)
    for key, promise in state.items():
        number = observe(s3, key)
        possible = [promise["acknowledged"], *promise["attempted"]]
        assert number in possible, f"{key} has {number}, not one of {possible}"
        promise["acknowledged"] = number


def load(endpoint, state, mine, stop):
    s3 = Fast(endpoint, timeout=20)
    chance = random.Random()
    while not stop.is_set():
        key = chance.choice(mine)
        promise = state[key]
        promise["next"] += 1
        number = DELETED if chance.random() < 0.1 else promise["next"]
        promise["attempted"].append(number)
        try:
            if number == DELETED:
                s3.delete(BUCKET, key)
            else:
                s3.put(BUCKET, key, content(key, number))
            promise["acknowledged"], promise["attempted"] = number, []
            promise["count"] += 1
        except Refused as refused:
            assert refused.status in (500, 503), refused
        except OSError:
            # Gone. What was attempted may be there or not.
            stop.set()
        except Exception as error:  # http.client's errors: the answer was cut off
            print(type(error).__name__, error, file=sys.stderr)
            stop.set()


def main():
    endpoint, path = sys.argv[1], sys.argv[2]
    keys = [f"{thread}/{number}" for thread in range(THREADS) for number in range(KEYS_PER_THREAD)]
    if os.path.exists(path):
        with open(path) as file:
            state = json.load(file)
        verify(endpoint, state)
    else:
        Fast(endpoint).call("PUT", f"/{BUCKET}")
        state = {key: {"acknowledged": DELETED, "attempted": [], "next": 0, "count": 0} for key in keys}
    print(f"loading {sum(promise['count'] for promise in state.values())}", flush=True)
    stop = threading.Event()
    failures = []

    def run(thread):
        try:
            load(endpoint, state, [key for key in keys if key.startswith(f"{thread}/")], stop)
        except BaseException as error:
            failures.append(error)
            stop.set()

    threads = [threading.Thread(target=run, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    if len(sys.argv) > 3:
        time.sleep(float(sys.argv[3]))
        stop.set()
    for thread in threads:
        thread.join()
    with open(path, "w") as file:
        json.dump(state, file)
    assert not failures, failures


if __name__ == "__main__":
    main()

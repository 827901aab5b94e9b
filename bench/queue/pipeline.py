"""A Celery pipeline as its documentation starts it (Redis broker and results, prefork, default settings but for early acks
kept as they are), driven like the other sides: what it takes in and works off per second, and how long a task takes at a
steady rate. Prints one JSON line. Environment: PIPELINE_URL, the Redis. Arguments: tasks, tasks per second, seconds."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from celery import Celery

url = os.environ["PIPELINE_URL"]
app = Celery("pipeline", broker=url, backend=url)
app.conf.update(worker_hijack_root_logger=False, result_expires=600)


@app.task
def noop(payload):
    return {"ok": True}


def main(tasks, rate, seconds):
    payload = "x" * 300
    began = time.perf_counter()
    results = [noop.delay(payload) for _ in range(tasks)]
    publish = tasks / (time.perf_counter() - began)
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "pipeline", "worker", "--concurrency", "2", "--loglevel", "ERROR"],
        cwd=sys.path[0],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        results[0].get(timeout=60)
        began = time.perf_counter()
        for result in results:
            result.get(timeout=120)
        process = (tasks - 1) / (time.perf_counter() - began)
        print(json.dumps({"publish": publish, "process": process, **latency(payload, rate, seconds)}), flush=True)
    finally:
        worker.terminate()
        worker.wait()


def latency(payload, rate, seconds):
    """Sends at the rate from here, and waits for each in a thread of its own: `then` would run only while somebody waits."""
    with ThreadPoolExecutor(max_workers=64) as pool:
        began, waits = time.perf_counter(), []
        for n in range(rate * seconds):
            wait = began + n / rate - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            waits.append(pool.submit(once, payload))
        took = sorted(wait.result() for wait in waits)
    return {"p50": took[len(took) // 2], "p99": took[int(len(took) * 0.99)]}


def once(payload):
    sent = time.perf_counter()
    noop.delay(payload).get(timeout=60)
    return (time.perf_counter() - sent) * 1000


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))

#!/usr/bin/env python3
"""Runs a real Airflow beside Tidewatch and compares every count with Airflow's own database.

    tests/airflow_real/run.py --airflow 3.3.2 --tidewatch target/release/tidewatch

Installs Airflow from PyPI into WORK/<version> when it is not there yet, starts it with the DAGs
beside this file, starts `tidewatch serve` that asks its API and takes its StatsD, has DAGs run,
clears and deletes runs, ends Tidewatch with SIGKILL twice meanwhile, and at the end says for each
count what Airflow's database holds and what Tidewatch answers. The exit code is 1 when they differ.
Only addresses of this machine are used. Needs Python 3.9 to 3.12, some minutes and 2 GB of disk.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
POLL_SECONDS = 5
START_PATIENCE = 240
RUN_PATIENCE = 420
SLA_SECONDS = 30
# uv takes the dependencies of that day; newer ones break Airflow 2.11.
PINNED_DAY = {"2.11.2": "2026-03-20"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def say(text):
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)


class Children:
    """The processes started here; ended by their ids."""

    def __init__(self, logs):
        self.logs, self.running = logs, {}

    def start(self, name, argv, env):
        log = open(self.logs / f"{name}.log", "ab")
        self.running[name] = subprocess.Popen(
            argv, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )

    def kill(self, name, how=signal.SIGKILL):
        child = self.running.pop(name)
        # Airflow's parts have children of their own; each has its own session.
        os.killpg(child.pid, how)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def kill_all(self):
        for name in list(self.running):
            try:
                self.kill(name, signal.SIGTERM)
            except ProcessLookupError:
                self.running.pop(name, None)


def request(url, method="GET", body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    headers = dict(headers or {})
    if data is not None:
        headers["content-type"] = "application/json"
    call = urllib.request.Request(url, data=data, method=method, headers=headers)
    with urllib.request.urlopen(call, timeout=60) as answer:
        text = answer.read()
        return json.loads(text) if text else None


class Airflow:
    """One installation with its own home."""

    def __init__(self, version, work, children):
        self.version, self.major = version, int(version.split(".")[0])
        self.children = children
        self.venv, self.home = work / f"venv-{version}", work / f"home-{version}"
        self.port, self.statsd_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = None

    def install(self, work):
        if (self.venv / "bin/airflow").exists():
            return
        say(f"installing Airflow {self.version}")
        tool = work / "uv"
        if not (tool / "bin/uv").exists():
            subprocess.run([sys.executable, "-m", "venv", tool], check=True)
            subprocess.run([tool / "bin/pip", "install", "-q", "uv"], check=True)
        subprocess.run([tool / "bin/uv", "venv", "-q", "--python", sys.executable, self.venv], check=True)
        command = [tool / "bin/uv", "pip", "install", "-q", f"apache-airflow[statsd]=={self.version}"]
        if day := PINNED_DAY.get(self.version):
            command += ["--exclude-newer", day]
        subprocess.run(command, check=True, env={**os.environ, "VIRTUAL_ENV": str(self.venv)})

    def env(self):
        settings = {
            "CORE__DAGS_FOLDER": HERE / "dags",
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": 4,
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "METRICS__STATSD_ON": "True",
            "METRICS__STATSD_HOST": "127.0.0.1",
            "METRICS__STATSD_PORT": self.statsd_port,
            "LOGGING__LOGGING_LEVEL": "WARNING",
        }
        if self.major == 2:
            settings |= {
                "API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth",
                "WEBSERVER__WORKERS": 1,
                "WEBSERVER__SECRET_KEY": "real",
                "SCHEDULER__DAG_DIR_LIST_INTERVAL": 20,
                "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": 10,
            }
        else:
            passwords = self.home / "passwords.json"
            settings |= {
                "API__WORKERS": 1,
                "API__SECRET_KEY": "real",
                "API_AUTH__JWT_SECRET": "a secret of this test, long enough for its hash" * 2,
                "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
                "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
                "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords,
                "DAG_PROCESSOR__REFRESH_INTERVAL": 20,
                "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 10,
            }
        own = {f"AIRFLOW__{key}": str(value) for key, value in settings.items()}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
        own["_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK"] = "1"
        path = f"{self.venv}/bin:{os.environ['PATH']}"
        return {**inherited, **own, "AIRFLOW_HOME": str(self.home), "PATH": path}

    def command(self, *args):
        argv = [self.venv / "bin/airflow", *args]
        with open(self.children.logs / "setup.log", "ab") as log:
            subprocess.run(argv, env=self.env(), check=True, stdout=log, stderr=log)

    def start(self):
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        (self.home / "passwords.json").write_text(json.dumps({"admin": "admin"}))
        say("making the database")
        self.command("db", "migrate")
        if self.major == 2:
            names = ["--username", "admin", "--password", "admin", "--role", "Admin"]
            person = ["--firstname", "a", "--lastname", "b", "--email", "a@example.org"]
            self.command("users", "create", *names, *person)
        self.command("pools", "set", "narrow", "1", "a single slot")
        server = ["webserver", "--port"] if self.major == 2 else ["api-server", "--port"]
        parts = {"server": [*server, str(self.port)], "scheduler": ["scheduler"]}
        if self.major > 2:
            parts["processor"] = ["dag-processor"]
        for name, args in parts.items():
            self.children.start(name, [self.venv / "bin/airflow", *args], self.env())
        wait("Airflow and its DAGs", lambda: len(self.api("/dags")["dags"]) >= 9, START_PATIENCE)
        broken = lambda: self.api("/importErrors")["total_entries"] == 1  # noqa: E731
        wait("the import error", broken, START_PATIENCE)

    def api(self, path, method="GET", body=None):
        if self.major == 2:
            headers = {"authorization": "Basic YWRtaW46YWRtaW4="}
            return request(f"{self.url}/api/v1{path}", method, body, headers)
        if self.token is None:
            login = {"username": "admin", "password": "admin"}
            self.token = request(f"{self.url}/auth/token", "POST", login)["access_token"]
        headers = {"authorization": f"Bearer {self.token}"}
        return request(f"{self.url}/api/v2{path}", method, body, headers)

    def pause(self, dag, is_paused):
        self.api(f"/dags/{dag}", "PATCH", {"is_paused": is_paused})

    def trigger(self, dag):
        body = {} if self.major == 2 else {"logical_date": None}
        return self.api(f"/dags/{dag}/dagRuns", "POST", body)["dag_run_id"]

    def run_path(self, dag, run):
        return f"/dags/{dag}/dagRuns/{urllib.parse.quote(run, safe='')}"

    def state(self, dag, run):
        return self.api(self.run_path(dag, run))["state"]

    def clear(self, dag, run):
        self.api(self.run_path(dag, run) + "/clear", "POST", {"dry_run": False})

    def delete(self, dag, run):
        self.api(self.run_path(dag, run), "DELETE")

    def rows(self, query, *args):
        for attempt in range(5):
            try:
                with sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True) as base:
                    return base.execute(query, args).fetchall()
            except sqlite3.OperationalError:
                if attempt == 4:
                    raise
                time.sleep(1)


def wait(what, is_done, patience):
    say(f"waiting for {what}")
    end = time.monotonic() + patience
    while True:
        try:
            if is_done():
                return
        except (OSError, KeyError, urllib.error.URLError):
            pass
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {patience} s")
        time.sleep(1)


class Tidewatch:
    """The server under test."""

    def __init__(self, binary, home, airflow, children):
        self.binary, self.home, self.children = binary, home, children
        self.port = free_port()
        home.mkdir(parents=True, exist_ok=True)
        (home / "tidewatch.yml").write_text(
            f"""listen: 127.0.0.1:{self.port}
data_dir: {home}/data
statsd:
  listen: 127.0.0.1:{airflow.statsd_port}
  flush_interval: 5s
  airflow:
    instances: [{{name: real, has_api: true}}]
airflow:
  slas: [{{name: half_a_minute, dags: [long], max_duration: {SLA_SECONDS}s}}]
  instances:
  - {{name: real, url: "{airflow.url}", username: admin, password: admin,
     poll_interval: {POLL_SECONDS}s, inventory_interval: 10s, timeout: 60s}}
"""
        )

    def start(self):
        argv = [self.binary, "serve", "--config", self.home / "tidewatch.yml"]
        self.children.start("tidewatch", argv, dict(os.environ))
        wait("Tidewatch", lambda: self.query("vector(1)"), 60)

    def restart(self, pause):
        say(f"kill -9 of Tidewatch, back after {pause} s")
        self.children.kill("tidewatch")
        time.sleep(pause)
        self.start()

    def settle(self):
        """Waits until everything up to now has been read."""
        begin = time.time() + 1
        read_until = "timestamp(airflow_poll_lag_seconds) - airflow_poll_lag_seconds"
        seen = lambda: any(float(s["value"][1]) > begin for s in self.query(read_until))  # noqa: E731
        wait("Tidewatch to have read everything", seen, RUN_PATIENCE)

    def query(self, text):
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": text})
        return request(url)["data"]["result"]

    def counts(self, query, *labels):
        found = Counter()
        for sample in self.query(query):
            key = tuple(sample["metric"].get(label, "") for label in labels)
            found[key] += float(sample["value"][1])
        return +found


def seconds(text):
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


FINAL_RUNS = "state in ('success', 'failed')"
FINAL_TASKS = "state in ('success', 'failed', 'upstream_failed', 'skipped', 'removed')"
TIMES = "start_date is not null and end_date is not null"


class Truth:
    """What happened, from Airflow's database, and from it again just before something was cleared
    or deleted, because the database then forgets it."""

    def __init__(self, airflow):
        self.airflow = airflow
        self.runs, self.run_seconds = Counter(), Counter()
        self.finishes, self.attempts, self.task_seconds = Counter(), Counter(), Counter()
        self.slow_runs, self.deleted, self.reruns = 0, Counter(), Counter()

    def take_runs(self, where="1=1", *args):
        query = f"select dag_id, run_type, state, start_date, end_date from dag_run where {FINAL_RUNS}"
        for dag, run_type, state, start, end in self.airflow.rows(f"{query} and {where}", *args):
            took = seconds(end) - seconds(start)
            self.runs[dag, run_type, state] += 1
            self.run_seconds[dag, state] += took
            self.slow_runs += dag == "long" and took > SLA_SECONDS

    def take_finishes(self, where="1=1", *args):
        query = f"select dag_id, task_id, state from task_instance where {FINAL_TASKS} and {where}"
        self.finishes.update(self.airflow.rows(query, *args))

    def take_attempts(self, where="1=1", *args):
        """The present attempts of the database and those before them."""
        ended = "state in ('success', 'failed', 'skipped') and try_number > 0"
        for table in ["task_instance", "task_instance_history"]:
            query = f"select dag_id, task_id, state, start_date, end_date from {table}"
            # An earlier attempt that failed is kept with the state it was retried in.
            kept = "try_number > 0 and coalesce(state, '') not in ('upstream_failed', 'removed')"
            states = ended if table == "task_instance" else kept
            rows = self.airflow.rows(f"{query} where {states} and {TIMES} and {where}", *args)
            for dag, task, state, start, end in rows:
                state = "failed" if state == "up_for_retry" else state
                self.attempts[dag, task, state] += 1
                self.task_seconds[dag, task] += seconds(end) - seconds(start)

    def before_clear(self, dag, run):
        self.take_runs("dag_id = ? and run_id = ?", dag, run)
        self.take_finishes("dag_id = ? and run_id = ?", dag, run)
        self.reruns[dag,] += 1

    def before_delete(self, dag, run):
        self.take_runs("dag_id = ? and run_id = ?", dag, run)
        self.take_finishes("dag_id = ? and run_id = ?", dag, run)
        self.take_attempts("dag_id = ? and run_id = ?", dag, run)

    def take_end(self):
        self.take_runs()
        self.take_finishes()
        self.take_attempts()


def delete_active(airflow, tidewatch, truth, dag, run):
    """Deletes a running run; Airflow 3.3 wants it to be ended first."""
    say("deleting a running run")
    try:
        airflow.delete(dag, run)
        truth.deleted[dag,] += 1
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise
        say("it must not be deleted while it runs: marking it as failed before")
        airflow.api(airflow.run_path(dag, run), "PATCH", {"state": "failed"})
        tidewatch.settle()
        truth.before_delete(dag, run)
        airflow.delete(dag, run)


def act(airflow, tidewatch, truth):
    """What happens while both run."""
    finished = lambda dag, run: airflow.state(dag, run) in ("success", "failed")  # noqa: E731
    for dag in ["ok", "fails", "flaky", "long", "mapped", "narrow", "skips", "dotted.name", "scheduled"]:
        airflow.pause(dag, False)
    ok, fails = airflow.trigger("ok"), airflow.trigger("fails")
    gone = airflow.trigger("mapped")
    airflow.trigger("flaky")
    wait("the first run of ok", lambda: finished("ok", ok), RUN_PATIENCE)
    tidewatch.restart(12)
    airflow.trigger("narrow")
    long = airflow.trigger("long")
    airflow.trigger("skips")
    airflow.trigger("dotted.name")
    wait("the run of fails", lambda: finished("fails", fails), RUN_PATIENCE)
    wait("the run of mapped", lambda: finished("mapped", gone), RUN_PATIENCE)
    tidewatch.settle()
    say("clearing the runs of fails and ok, deleting that of mapped")
    for dag, run in [("fails", fails), ("ok", ok)]:
        truth.before_clear(dag, run)
        airflow.clear(dag, run)
    truth.before_delete("mapped", gone)
    airflow.delete("mapped", gone)
    airflow.trigger("mapped")
    wait("the run of long", lambda: finished("long", long), RUN_PATIENCE)
    doomed = airflow.trigger("long")
    wait("another of long", lambda: airflow.state("long", doomed) == "running", RUN_PATIENCE)
    tidewatch.restart(0)
    tidewatch.settle()
    delete_active(airflow, tidewatch, truth, "long", doomed)
    airflow.trigger("ok")
    wait("the second end of fails", lambda: finished("fails", fails), RUN_PATIENCE)
    airflow.pause("scheduled", True)
    active = "select count(*) from dag_run where state in ('queued', 'running')"
    wait("the end of all runs", lambda: airflow.rows(active) == [(0,)], RUN_PATIENCE)
    # Pools and the list of DAGs are read more rarely.
    time.sleep(4 * POLL_SECONDS)
    tidewatch.settle()


class Comparison:
    """One line for each thing compared."""

    def __init__(self):
        self.differences = 0

    def equal(self, what, expected, found, tolerance=0.0):
        keys = sorted(set(expected) | set(found), key=str)
        bad = [k for k in keys if abs(expected.get(k, 0) - found.get(k, 0)) > tolerance]
        total = sum(expected.values())
        verdict = "equal" if not bad else "DIFFERENT"
        print(f"{what:45} {len(keys):4} series, total {total:10.3f}: {verdict}")
        for key in bad:
            print(f"    {key}: database {expected.get(key, 0)}, Tidewatch {found.get(key, 0)}")
        self.differences += len(bad)


def compare(airflow, tidewatch, truth):
    truth.take_end()
    result, counts = Comparison(), tidewatch.counts
    result.equal("runs", truth.runs, counts("airflow_dag_runs_total", "dag_id", "run_type", "state"))
    result.equal("runs that ended again", truth.reruns, counts("airflow_dag_reruns_total", "dag_id"))
    result.equal("runs deleted while active", truth.deleted, counts("airflow_dag_runs_deleted_total", "dag_id"))
    name = "airflow_dag_run_duration_seconds"
    found = counts(f"sum by (dag_id, state) ({name}_count)", "dag_id", "state")
    by_state = Counter()
    for (dag, _, state), number in truth.runs.items():
        by_state[dag, state] += number
    result.equal("durations of runs, number", by_state, found)
    result.equal("durations of runs, seconds", truth.run_seconds, counts(f"{name}_sum", "dag_id", "state"), 0.05)
    labels = ["dag_id", "task_id", "state"]
    result.equal("final states of task instances", truth.finishes, counts("airflow_task_finish_total", *labels))
    result.equal("attempts", truth.attempts, counts("airflow_task_attempts_total", *labels))
    found = counts("airflow_task_duration_seconds_sum", "dag_id", "task_id")
    result.equal("durations of attempts, seconds", truth.task_seconds, found, 0.05)
    result.equal("own service level", {(): truth.slow_runs}, counts('airflow_sla_missed_total{sla="half_a_minute"}'))
    if airflow.major == 2:
        missed = Counter(airflow.rows("select dag_id, task_id from sla_miss"))
        found = counts('airflow_sla_missed_total{sla="airflow"}', "dag_id", "task_id")
        result.equal("Airflow's own service levels", missed, found)
    pools = dict(((name,), slots) for name, slots in airflow.rows("select pool, slots from slot_pool"))
    result.equal("slots of pools", pools, counts("airflow_pool_slots", "pool_name"))
    result.equal("open slots of pools", pools, counts("airflow_pool_open_slots", "pool_name"))
    result.equal("import errors", {(): airflow.rows("select count(*) from import_error")[0][0]}, counts("airflow_import_errors"))
    result.equal("DAGs", {(): len(airflow.api("/dags")["dags"])}, counts("airflow_dags"))
    result.equal("active runs", {}, counts("airflow_dag_runs"))
    ages = counts("airflow_dag_last_success_timestamp_seconds", "dag_id")
    query = "select dag_id, max(end_date) from dag_run where state = 'success' group by dag_id"
    result.equal("time of the last success", {(d,): seconds(t) for d, t in airflow.rows(query)}, ages, 0.01)
    started = counts("sum(airflow_statsd_task_start_total)")
    finished = counts('sum(airflow_statsd_task_finish_total{state=~"success|failed|up_for_retry|skipped"})')
    print(f"StatsD, datagrams lost while Tidewatch was down: {started[()]:.0f} starts, {finished[()]:.0f} ends")
    return result.differences


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--airflow", default="3.3.2", help="version on PyPI")
    parser.add_argument("--tidewatch", default="target/release/tidewatch", type=Path)
    parser.add_argument("--work", default="/tmp/tidewatch-airflow", type=Path)
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    logs = work / f"logs-{options.airflow}"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir()
    children = Children(logs)
    airflow = Airflow(options.airflow, work, children)
    airflow.install(work)
    home = work / f"tidewatch-{options.airflow}"
    shutil.rmtree(home, ignore_errors=True)
    tidewatch = Tidewatch(options.tidewatch.resolve(), home, airflow, children)
    truth = Truth(airflow)
    try:
        airflow.start()
        tidewatch.start()
        tidewatch.settle()
        act(airflow, tidewatch, truth)
        differences = compare(airflow, tidewatch, truth)
    finally:
        children.kill_all()
    say(f"Airflow {options.airflow}: {differences} differences; logs in {logs}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())

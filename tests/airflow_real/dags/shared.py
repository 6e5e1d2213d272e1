"""DAGs for Airflow 2.11 and 3.x: every kind of ending there is, a few seconds each."""

import time
from datetime import datetime, timedelta

try:
    from airflow.sdk import DAG, task
    from airflow.sdk.exceptions import AirflowSkipException
    from airflow.providers.standard.operators.empty import EmptyOperator

    SLA = {}
except ImportError:
    from airflow import DAG
    from airflow.decorators import task
    from airflow.exceptions import AirflowSkipException
    from airflow.operators.empty import EmptyOperator

    # Airflow 3 has no service levels of its own.
    SLA = {"sla": timedelta(seconds=1)}

START = datetime(2026, 1, 1)


def dag(name, schedule=None, **more):
    more = {"catchup": False, "max_active_runs": 4, "tags": ["real", name], **more}
    return DAG(name, start_date=START, schedule=schedule, default_args={"owner": "ann"}, **more)


@task
def work(seconds=0.5):
    time.sleep(seconds)


@task
def skip():
    raise AirflowSkipException("nothing to do")


@task(retries=2, retry_delay=timedelta(seconds=2))
def boom():
    raise ValueError("on purpose")


@task(retries=2, retry_delay=timedelta(seconds=2))
def flaky(ti=None):
    if ti.try_number < 2:
        raise ValueError("the first attempt fails")


with dag("ok") as ok:
    first, last = work.override(task_id="first")(), work.override(task_id="last")()
    first >> last >> EmptyOperator(task_id="empty")

with dag("scheduled", schedule=timedelta(minutes=1)) as scheduled:
    work.override(task_id="tick", **SLA)(2)

with dag("fails") as fails:
    boom() >> work.override(task_id="after")()

with dag("flaky") as flaky_dag:
    flaky()

with dag("long") as long:
    work.override(task_id="sleep")(45)

with dag("mapped") as mapped:
    work.override(task_id="each").expand(seconds=[0.1, 0.2, 0.3])

with dag("narrow") as narrow:
    for number in range(3):
        work.override(task_id=f"slot{number}", pool="narrow")(3)

with dag("skips") as skips:
    skip() >> work.override(task_id="never")()

with dag("dotted.name") as dotted:
    work.override(task_id="dotted.task")()

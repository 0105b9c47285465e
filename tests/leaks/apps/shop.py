"""A shop made with Django, in one file; five of its parts leak, each in its own way.

    uvicorn shop:asgi                 a page read by people; the context that it runs in is that of a newer Django
    daphne shop:plain_asgi            the same without; /summary, /upload, /goods and the websocket
    uvicorn shop:hasty_asgi           an estimate, given up when its visitor leaves
    gunicorn -k gevent shop:wsgi      the same page in greenlets
    shop.py migrate | qcluster | queue SECONDS     its background jobs, with django-q

PG* variables say where the database is, APP_NAME what it is called there, CURED=1 that the mistakes are not made.
"""
import asyncio
import concurrent.futures
import multiprocessing
import os
import sys
import threading
import time

from django.conf import settings

NAME = os.environ["APP_NAME"]
CURED = os.environ.get("CURED") == "1"

settings.configure(
    SECRET_KEY="a shop for tests", ALLOWED_HOSTS=["*"], ROOT_URLCONF="shop", USE_TZ=True,
    INSTALLED_APPS=["django_q"], DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"],
        "NAME": os.environ["PGDATABASE"], "USER": os.environ["PGUSER"],
        "OPTIONS": {"application_name": NAME, "sslmode": "disable"},
        "DISABLE_SERVER_SIDE_CURSORS": True,
        # L1 and L6. The mistake: to keep connections, in threads or greenlets that live for one request.
        # Nobody finds such a connection again, so nobody closes it. The cure: 0.
        "CONN_MAX_AGE": 0 if CURED else int(os.environ.get("MAX_AGE", "600")),
    }},
    Q_CLUSTER={"name": "shop", "workers": 2, "recycle": 3, "orm": "default", "poll": 0.2, "guard_cycle": 0.2, "timeout": 30,
               "retry": 60, "daemonize_workers": False, "save_limit": 20, "catch_up": False},
    LOGGING_CONFIG=None,
)

import django  # noqa: E402
django.setup()

import asyncpg  # noqa: E402
from asgiref.sync import ThreadSensitiveContext, sync_to_async  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import close_old_connections, connection, connections, models  # noqa: E402
from django.db.backends.signals import connection_created  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Product(models.Model):
    name = models.TextField()

    class Meta:
        app_label, db_table, managed = "shop", "product", False


# L1 and L6: a page ----------------------------------------------------------------------

# A gauge of connections, as metrics packages for Django have one. It refers to each, so that not even the
# garbage collector ends those whose thread has ended. NO_GAUGE=1 leaves it out: then they come and go in a saw-tooth.
gauge = []
if os.environ.get("NO_GAUGE") != "1":
    connection_created.connect(lambda connection, **_: gauge.append(connection), weak=False)


def page(request):
    return JsonResponse({"products": list(Product.objects.values_list("name", flat=True)[:5])})


# L3: a summary, made in a thread --------------------------------------------------------

def count():
    found = Product.objects.count()
    time.sleep(0.2)                 # and a drawing is made of it
    return found


async def summary(request):
    # The mistake: a thread of asyncio's own, in which no signal of Django's ever closes a connection.
    found = await (sync_to_async(count)() if CURED else asyncio.to_thread(count))
    return JsonResponse({"products": found})


# L5: uploads, each with threads of its own ----------------------------------------------

conversions = []


def convert():
    try:
        Product.objects.filter(name="nothing").exists()
    finally:
        if CURED:
            connections.close_all()     # the cure


def upload(request):
    # The mistake: an executor for each upload. Its thread waits for more work with its connection open.
    conversion = concurrent.futures.ThreadPoolExecutor(max_workers=1)
    conversions.append(conversion)
    conversion.submit(convert)
    return JsonResponse({"accepted": True})


# Not a leak: an import, with a thread and a connection for each supplier ------------------

def deliver(number, all_delivered):
    try:
        time.sleep(0.3 * number)        # the suppliers answer one after another
        list(Product.objects.filter(id=number))
        all_delivered.wait(20)          # and what they sent is kept open until all is there
    finally:
        connections.close_all()


def goods(request):
    all_delivered = threading.Barrier(12)
    for number in range(12):
        threading.Thread(target=deliver, args=(number, all_delivered)).start()
    return JsonResponse({"begun": True})


# L4: an estimate, whose visitor may leave before it is there -----------------------------

def reckon():
    found = Product.objects.count()
    time.sleep(0.3)                 # and that is looked at from all sides
    return found


async def estimate(send):
    async with ThreadSensitiveContext():
        if CURED:
            from channels.db import database_sync_to_async
            found = await database_sync_to_async(reckon)()      # the cure: it closes in a finally, in the thread
        else:
            # The mistake: when the visitor leaves, this is cancelled; the thread goes on, and nobody closes its connection.
            found = await sync_to_async(reckon)()
            await sync_to_async(close_old_connections)()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(found).encode()})


async def hasty_asgi(scope, receive, send):
    """What is done for a visitor ends when he leaves, as Django does it from release 5 on."""
    async def leaves():
        while (await receive())["type"] != "http.disconnect":
            pass

    if scope["type"] != "http":
        return
    both = {asyncio.create_task(estimate(send)), asyncio.create_task(leaves())}
    done, rest = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*both, return_exceptions=True)


# L19: jobs of django-q, whose workers are replaced after every third --------------------

helper = None


def render():
    """A job. The first in each worker starts a helper that goes on when the worker has gone."""
    global helper
    found = Product.objects.count()
    if helper is None:
        if CURED:
            connections.close_all()     # the cure
        # The mistake: the child inherits the worker's socket. When the worker is recycled, it ends without a word
        # to PostgreSQL, and the helper, which knows nothing of it, keeps the connection open.
        helper = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,), daemon=False)
        helper.start()
        # A worker that is replaced does not wait for its helper.
        multiprocessing.process._children.discard(helper)
    list(Product.objects.all()[:3])
    return found


def queue(seconds):
    from django_q.tasks import async_task
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        async_task("shop.render")
        connection.close()
        time.sleep(0.3)


# Not a leak: websockets that come in a burst and leave, each with a connection while it is there --------------

async def websocket(scope, receive, send):
    subscriber = await asyncpg.connect(host=os.environ["PGHOST"], port=int(os.environ["PGPORT"]), database=os.environ["PGDATABASE"],
                                       user=os.environ["PGUSER"], ssl=False, server_settings={"application_name": NAME})
    try:
        while (event := await receive())["type"] != "websocket.disconnect":
            if event["type"] == "websocket.connect":
                await send({"type": "websocket.accept"})
            else:
                found = await subscriber.fetchval("SELECT count(*) FROM product")
                await send({"type": "websocket.send", "text": str(found)})
    finally:
        await subscriber.close()


# ----------------------------------------------------------------------------------------

urlpatterns = [path("page", page), path("summary", summary), path("upload", upload), path("goods", goods)]
pages = get_asgi_application()
wsgi = get_wsgi_application()


async def plain_asgi(scope, receive, send):
    await (websocket if scope["type"] == "websocket" else pages)(scope, receive, send)


async def asgi(scope, receive, send):
    # Newer Django does this by itself (ticket 32889): sync code of a request runs in a thread that lives as long as the request.
    async with ThreadSensitiveContext():
        await plain_asgi(scope, receive, send)


if __name__ == "__main__":
    sys.modules["shop"] = sys.modules["__main__"]
    if sys.argv[1] == "queue":
        queue(float(sys.argv[2]))
    else:
        from django.core.management import execute_from_command_line
        execute_from_command_line(sys.argv)

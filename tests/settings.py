"""The console's settings in a temporary data folder, with cheap passwords and a database file threads can share."""

import os
import tempfile

from tests import redis_databases

# A worker of a parallel run has its own folder; the environment is read when the settings are imported.
os.environ["STACK_CONSOLE_DATA_DIR"] = tempfile.mkdtemp(prefix="stack-console-test-")
for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "SECRET_KEY", "DEBUG"):
    os.environ.pop(name, None)
os.environ.setdefault("EMBEDDED_MODELS", "0")
os.environ.setdefault("API_RATE", "")
os.environ["TELEMETRY"] = "0"  # a test that wants spans kept turns it on

from stack_console.settings import *  # noqa: E402, F403
from stack_console.settings import (  # noqa: E402
    CACHES,
    CHANNEL_LAYERS,
    DATA_DIR,
    DATABASES,
    JOB_QUEUES,
    LOGGING,
    MIDDLEWARE,
    REDIS_URL,
    STATIC_ROOT,
    STORAGES,
)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Units of work run on threads with connections of their own, so memory will not do.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] += "PRAGMA synchronous=OFF;"
# Pages are rendered without collecting files first.
STATIC_ROOT.mkdir()
# What is due every so often is asked for by the tests that are about it.
PERIODIC = {}
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
# Tests read pages as browsers do: the line breaks of a template are nothing to them.
MIDDLEWARE = ["tests.reading.as_read", *MIDDLEWARE]
LOGGING["root"]["level"] = "WARNING"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
if REDIS_URL:
    REDIS_URL = redis_databases.given()
    CHANNEL_LAYERS["default"]["CONFIG"]["hosts"] = [REDIS_URL]
    RQ_QUEUES = {name: {"URL": REDIS_URL} for name in JOB_QUEUES}
    CACHES["default"]["LOCATION"] = redis_databases.numbered(redis_databases.CACHE)

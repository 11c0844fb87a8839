"""Settings, top to bottom: core, database, live, providers, accounts, pages, safety, logging.

Everything an operator may change comes from the environment (docs/settings.md); without any of it the console starts on
one machine with SQLite and the embedded model.
"""

import os
import secrets
from pathlib import Path
from typing import Any

import django_stubs_ext
import environ

django_stubs_ext.monkeypatch()  # lets ModelAdmin[Row] and the like be written at run time too

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# Core
VERSION = "0.1.0"
DATA_DIR = Path(env.str("STACK_CONSOLE_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
DEBUG = env.bool("DEBUG", default=False)
HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)


def kept_secret(name: str) -> str:
    """Return the secret of this installation, made on first use and readable by its owner alone."""
    path = DATA_DIR / name
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()


SECRET_KEY = env.str("SECRET_KEY", default="") or kept_secret("secret_key")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
BEHIND_TLS = env.bool("BEHIND_TLS", default=False)

INSTALLED_APPS = [
    "daphne",
    "apps.core.apps.CoreConfig",
    "apps.accounts.apps.AccountsConfig",
    "apps.providers.apps.ProvidersConfig",
    "apps.jobs.apps.JobsConfig",
    "apps.inference.apps.InferenceConfig",
    "apps.datasets.apps.DatasetsConfig",
    "apps.agents.apps.AgentsConfig",
    "apps.evals.apps.EvalsConfig",
    "apps.telemetry.apps.TelemetryConfig",
    "apps.console.apps.ConsoleConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "django_tasks",
    "django_tasks_db",
    "django_htmx",
    "axes",
    "csp",
]

# What pages pass through. The REST API has a handler of its own (stack_console/asgi.py): its hot path takes no thread
# hop for sessions and cookies it does not use.
MIDDLEWARE = [
    "apps.console.health.probes",
    "apps.core.middleware.page_boundary",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "apps.accounts.middleware.door",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "stack_console.urls"
ASGI_APPLICATION = "stack_console.asgi.application"
APPEND_SLASH = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"

# Database
DATABASE_READERS = env.int("DATABASE_READERS", default=4)
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'console.sqlite3'}")
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA cache_size=-32000;",
    }
else:
    # Connections are kept by the pool; CONN_MAX_AGE under ASGI would exhaust the server.
    DATABASES["default"] |= {
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            "pool": {"min_size": 2, "max_size": env.int("DATABASE_POOL", default=20), "timeout": 20},
            "options": "-c idle_in_transaction_session_timeout=60000",  # a machine that froze must not keep its locks
        },
    }

# Live: without REDIS_URL everything live happens in this one process
REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL:
    CHANNEL_LAYERS: dict[str, Any] = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL], "prefix": "stack-console"},
        }
    }
    CACHES: dict[str, Any] = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    # By default Django keeps 300 entries and drops a third of them at once: rates of keys and sent forms would go.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 20_000},
        }
    }

# Jobs: the queue only carries ids (apps.jobs.delivery), the rows say the rest
JOB_QUEUES = ("default", "eval", "gpu")
JOB_SLOTS = {"default": env.int("JOBS_AT_ONCE", default=2), "eval": env.int("JOBS_AT_ONCE", default=2), "gpu": 1}
JOB_QUEUE_LIMIT = env.int("JOB_QUEUE_LIMIT", default=10_000)
JOB_STOP_S = env.int("JOB_STOP_S", default=5)
# Work that is due every so many seconds: function, title, seconds, and what tells whether there is anything to do
PERIODIC: dict[str, tuple[str, float] | tuple[str, float, str]] = {
    "apps.telemetry.retention.run": ("Purge old traces and metrics", env.float("PURGE_EVERY_S", default=3600)),
    "apps.evals.schedules.run": ("Start scheduled evaluations", 60, "apps.evals.schedules.is_any_due"),
}
TASKS: dict[str, Any] = {
    "default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": list(JOB_QUEUES)},
}
if REDIS_URL:
    INSTALLED_APPS.append("django_rq")
    TASKS["default"]["BACKEND"] = "django_tasks_rq.RQBackend"
    RQ_QUEUES = {name: {"URL": REDIS_URL} for name in JOB_QUEUES}
    RQ_SHOW_ADMIN_LINK = False

# Providers: what can run, by Llama Stack's names; what does run are rows (apps.providers)
PROVIDER_TYPES: dict[str, dict[str, str]] = {
    "inference": {
        "inline::llama-cpp": "apps.inference.providers.llama_cpp.LlamaCpp",
        "inline::scripted": "apps.inference.providers.scripted.Scripted",
        "remote::openai": "apps.inference.providers.openai_compatible.OpenAICompatible",
    },
}
OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", default="")
OPENAI_API_KEY = env.str("OPENAI_API_KEY", default="")
EMBEDDED_MODELS = env.bool("EMBEDDED_MODELS", default=True)
EMBEDDED_IDLE_S = env.int("EMBEDDED_IDLE_S", default=900)
WEIGHTS_CACHE = env.str("STACK_CONSOLE_WEIGHTS_CACHE", default="")  # a folder of weights to link from before fetching
MODEL_TIMEOUT_S = env.int("MODEL_TIMEOUT_S", default=300)  # silence of a model server after which a call fails
MODEL_CONNECT_S = env.int("MODEL_CONNECT_S", default=5)
FETCH_MAX_BYTES = env.int("FETCH_MAX_BYTES", default=20_000_000)
FETCH_TIMEOUT_S = env.int("FETCH_TIMEOUT_S", default=20)
FETCH_ALLOWED_HOSTS = env.list("FETCH_ALLOWED_HOSTS", default=[])  # private hosts a user-given address may name

# Datasets
DATASET_FILES_DIR = env.str("DATASET_FILES_DIR", default=str(DATA_DIR / "datasets"))  # what lsfs:// addresses name
DATASET_UPLOADS_DIR = env.str("DATASET_UPLOADS_DIR", default=str(DATA_DIR / "uploads"))
DATASET_MAX_BYTES = env.int("DATASET_MAX_BYTES", default=2_000_000_000)
DATASET_MAX_ROW_BYTES = env.int("DATASET_MAX_ROW_BYTES", default=5_000_000)
DATASET_AT_ONCE_BYTES = env.int("DATASET_AT_ONCE_BYTES", default=4_000_000)  # larger sources are loaded by a job
DATASET_AT_ONCE_S = env.float("DATASET_AT_ONCE_S", default=10)
DATASET_FETCH_S = env.float("DATASET_FETCH_S", default=3600)
HUGGINGFACE_URL = env.str("HUGGINGFACE_URL", default="https://huggingface.co")

# Turns
TURN_HEARTBEAT_S = env.float("TURN_HEARTBEAT_S", default=1.0)
TURN_LOST_AFTER_S = env.float("TURN_LOST_AFTER_S", default=20.0)

# Telemetry
TELEMETRY = env.bool("TELEMETRY", default=True)  # keep the spans of this console; off: they only leave for a collector
TELEMETRY_CONTENT = env.bool("TELEMETRY_CONTENT", default=True)  # what was asked and answered, in spans
TELEMETRY_DAYS = env.float("TELEMETRY_DAYS", default=7)
METRICS_DAYS = env.float("METRICS_DAYS", default=90)
TELEMETRY_MAX_TEXT = env.int("TELEMETRY_MAX_TEXT", default=256_000)  # characters of one attribute; longer ones are cut

# Evaluations
EVAL_AT_ONCE = env.int("EVAL_AT_ONCE", default=16)  # rows of one evaluation that are asked at the same time
EVAL_DIRECT_ROWS = env.int("EVAL_DIRECT_ROWS", default=1_000)  # rows a request may bring to be evaluated at once
EVAL_SYNC_GRACE_SECONDS = env.float("EVAL_SYNC_GRACE_SECONDS", default=0)
SCORE_MAX_ROWS = env.int("SCORE_MAX_ROWS", default=10_000)  # rows a request may have scored; a tenth by a judge
SCORING_PROCESSES = env.int("SCORING_PROCESSES", default=2)  # children for expressions, mathematics and languages
SCORING_TIMEOUT_S = env.float("SCORING_TIMEOUT_S", default=5)
REGEX_TIMEOUT_S = env.float("REGEX_TIMEOUT_S", default=1)

# Accounts
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "/"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # the time told at the first refusal stays true
AXES_LOCKOUT_CALLABLE = "apps.accounts.views.locked_out"
AXES_VERBOSE = False
API_RATE = env.str("API_RATE", default="6000/m")  # requests a key may make; empty turns the limit off

# Pages
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.console.context.frame",
            ],
            "builtins": ["apps.console.templatetags.console"],
        },
    }
]
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = DATA_DIR / "files"

# Safety of pages and of the server
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", default=20_000_000)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
CSRF_COOKIE_HTTPONLY = False
CSRF_FAILURE_VIEW = "apps.console.views.csrf_failure"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
        "base-uri": ["'self'"],
    }
}

# Logging: one line an event, to the terminal
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:<7} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "daphne": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "django.channels.server": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "openai": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        "django_tasks": {"level": "WARNING"},
        "rq": {"level": "WARNING"},
    },
}

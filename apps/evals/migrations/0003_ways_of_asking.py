import hashlib
import json
from typing import Any

from django.db import migrations


def tell(apps: Any, schema_editor: Any) -> None:
    """Fill in what sets the candidates of earlier runs apart, as runs have stored it since."""
    changed = []
    for one in apps.get_model("evals", "Evaluation").objects.only("config", "row_total"):
        asked = json.dumps(one.config["eval_candidate"], sort_keys=True)
        one.fingerprint = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        # Who wants more rows than there are gets all: what was wanted and is there may be fewer, or just as many.
        wanted = one.config.get("num_examples")
        one.is_partial = wanted not in (None, -1) and one.row_total >= (wanted or 0)
        changed.append(one)
    apps.get_model("evals", "Evaluation").objects.bulk_update(changed, ["fingerprint", "is_partial"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [
        ("evals", "0002_runs_over_time"),
    ]

    operations = [
        migrations.RunPython(tell, migrations.RunPython.noop, elidable=True),
    ]

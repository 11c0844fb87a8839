"""Which browser the tests drive: Debian's Chromium, and of it the shell without windows where that is installed."""

import os
import shutil
from pathlib import Path

# The shell draws no window around each page, which halves what a test's page costs.
PATH = Path(os.environ.get("CHROMIUM") or shutil.which("chromium-headless-shell") or "/usr/bin/chromium")

"""Exit 0 where the worker in this container answers 200 at a path, `/live` or `/ready`; else 1, saying why."""

from __future__ import annotations

import http.client
import os
import sys

_SECONDS = 3


def main() -> int:
    """The exit code."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/ready"
    port = int(os.environ.get("STREAMGAUGE_METRICS_PORT", "9464"))
    # http.client, not urllib: a proxy in the environment has no part in this.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        sys.stdout.write(response.read(1000).decode(errors="replace") + "\n")
    except OSError as error:
        sys.stdout.write(f"Nothing answers at port {port}: {error}\n")
        return 1
    return 0 if response.status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())

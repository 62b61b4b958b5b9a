"""Verifies messages with the reference library of Standard Webhooks, as they come.

Each line of the input is a JSON object with `secret`, `headers` and `body`; each line of the output is `ok`, or what is
wrong with it.
"""

import json
import sys

from standardwebhooks import Webhook

for line in sys.stdin:
    message = json.loads(line)
    try:
        Webhook(message["secret"]).verify(message["body"], message["headers"])
        print("ok", flush=True)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)

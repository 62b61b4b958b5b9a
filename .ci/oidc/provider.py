"""Canaille, a real OpenID provider, for the tests: in memory, with one client and the people of the arguments.

    provider.py REDIRECT_URI LOGIN…

Prints its issuer when it serves, and ends when its standard input does. Everybody's password is `provider password`.
"""

import os
import sys
import threading

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

redirect_uri, *logins = sys.argv[1:]

server = make_server("127.0.0.1", 0, None, threaded=True)
address = f"127.0.0.1:{server.server_port}"
app = create_app(
    {
        "SECRET_KEY": os.urandom(32).hex(),
        "SERVER_NAME": address,
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {"DATABASE": "memory"},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [RSAKey.generate_key(2048).as_dict(private=True)]},
    }
)
# Canaille knows who entered an address, and says nothing of it: here, the administrator did.
app.config["CANAILLE_OIDC"]["USERINFO_MAPPING"]["EMAIL_VERIFIED"] = "true"
with app.app_context():
    for login in logins:
        name = login.split("@")[0]
        user = models.User(
            user_name=name,
            formatted_name=f"{name.title()} Berg",
            family_name="Berg",
            emails=[login],
            password="provider password",
        )
        Backend.instance.save(user)
    client = models.Client(
        client_id="stockhold",
        client_secret="the-secret-of-the-client",
        client_name="stockhold",
        client_uri=f"http://{address}",
        redirect_uris=[redirect_uri],
        grant_types=["authorization_code"],
        response_types=["code"],
        scope=["openid", "email", "profile"],
        token_endpoint_auth_method="client_secret_basic",
    )
    Backend.instance.save(client)
    # Only what is saved can be named.
    client.audience = [client]
    Backend.instance.save(client)

server.app = app
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://{address}", flush=True)
sys.stdin.read()

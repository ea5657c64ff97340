"""How schemathesis authenticates where it is to: a client's assertion and proof, or a resource server's token of the realm.

It is loaded by `schemathesis run` (SCHEMATHESIS_HOOKS). With MARQUE_AUTHENTICATED set, every request of a client's or a
resource server's route is made as one of theirs, whatever else is wrong with it; the check `authenticated` sees that none
of them is turned away for its credentials.
"""

import json
import os
import time
from itertools import cycle
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
import schemathesis
from requests.auth import AuthBase

from support import ASSERTION_TYPE, ENV, ISSUER, Party, agent

FORM = "application/x-www-form-urlencoded"
AUTHENTICATED = "MARQUE_AUTHENTICATED" in os.environ
CREDENTIALS = {"client_id", "client_secret", "client_assertion", "client_assertion_type"}
OF_CREDENTIALS = {"invalid_client", "invalid_dpop_proof", "use_dpop_nonce", "invalid_token", "insufficient_scope"}


class AsClient(AuthBase):
    """One assertion and one proof for each request, with the nonce of the answer before."""

    def __init__(self):
        self.party, self.nonce = agent(), None

    def __call__(self, request):
        bare = urlsplit(request.url)._replace(query="", fragment="").geturl()
        request.headers.pop("Authorization", None)
        request.headers["DPoP"] = self.party.proof(request.method, bare, nonce=self.nonce)
        if request.method == "GET":
            request.headers["Client-Assertion"] = self.party.assertion()
        elif request.headers.get("Content-Type", "").startswith(FORM):
            self.sign(request)
        request.register_hook("response", self.remember)
        return request

    def sign(self, request):
        body = request.body or b""
        body = body.decode() if isinstance(body, bytes) else body
        form = [pair for pair in parse_qsl(body, keep_blank_values=True) if pair[0] not in CREDENTIALS]
        form += [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", self.party.assertion())]
        request.body = urlencode(form)
        request.headers["Content-Length"] = str(len(request.body))

    def remember(self, response, **_):
        self.nonce = response.headers.get("DPoP-Nonce", self.nonce)

    def ask_for_nonce(self):
        """The server's first nonce comes with whatever answer."""
        requests.get(f"{ISSUER}/plans/none", auth=self, timeout=60)


class AsResourceServer(AuthBase):
    """An access token of the realm by client credentials, renewed before it is over."""

    def __init__(self):
        self.party, self.token, self.until = Party(ENV["clients"]["rs"]), None, 0

    def __call__(self, request):
        if time.time() > self.until:
            self.renew()
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request

    def renew(self):
        realm = ENV["keycloak"]["issuer"]
        endpoint = f"{realm}/protocol/openid-connect/token"
        form = {
            "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.party.assertion(realm),
        }
        reply = requests.post(endpoint, data=form, timeout=60)
        reply.raise_for_status()
        answer = reply.json()
        self.token, self.until = answer["access_token"], time.time() + answer["expires_in"] / 2


CLIENT, RESOURCE_SERVER = AsClient(), AsResourceServer()
IN_TURN = cycle([CLIENT, RESOURCE_SERVER])
BY_TAG = {
    "clients": lambda: CLIENT,
    "resource servers": lambda: RESOURCE_SERVER,
    "clients and resource servers": lambda: next(IN_TURN),
}
if AUTHENTICATED:
    CLIENT.ask_for_nonce()


@schemathesis.serializer("application/jose")
def compact(ctx, value):
    """A compact JWS is sent as it is written; what is none, as JSON."""
    return (value if isinstance(value, str) else json.dumps(value)).encode()


@schemathesis.hook
def before_call(ctx, case, kwargs):
    # Where a browser is sent is the realm's, which is not what is tried here.
    kwargs["allow_redirects"] = False
    if AUTHENTICATED:
        kwargs["auth"] = BY_TAG[case.operation.tags[0]]()


@schemathesis.check
def authenticated(ctx, response, case):
    """No request that carries right credentials is turned away for them."""
    if not AUTHENTICATED or response.status_code not in (400, 401, 403):
        return
    error = json.loads(response.content).get("error")
    assert error not in OF_CREDENTIALS, f"{response.status_code} {response.text}"

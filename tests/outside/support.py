"""What the Python clients of this folder share: the running stack, keys, proofs, plans, and the scripted person."""

import hashlib
import json
import os
import subprocess
import time
import uuid
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64encode

ENV_FILE = os.environ.get("MARQUE_STACK") or exit(
    "MARQUE_STACK must name the env.json of a running stack; make test starts one"
)
ENV = json.loads(Path(ENV_FILE).read_text())
ISSUER = ENV["marque"]["issuer"]
TRUST_DOMAIN = ENV["marque"]["trust_domain"]

GRANT_INTENT = "urn:marque:oauth:grant-type:intent"
GRANT_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE_INTENT = "urn:marque:oauth:token-type:intent"
TYPE_TXN = "urn:ietf:params:oauth:token-type:txn_token"
TYPE_ACCESS = "urn:ietf:params:oauth:token-type:access_token"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Party:
    """A client of the realm: its id, the key that signs its assertions, the key that its tokens are bound to."""

    def __init__(self, files):
        self.id = files["client_id"]
        self.key = ECKey.import_key(json.loads(Path(files["key"]).read_text()))
        self.proof_key = ECKey.import_key(json.loads(Path(files["dpop_key"]).read_text()))

    def assertion(self, audience=ISSUER):
        now = int(time.time())
        claims = {"iss": self.id, "sub": self.id, "aud": audience, "jti": str(uuid.uuid4()), "iat": now, "exp": now + 60}
        return jwt.encode({"alg": "ES256", "typ": "JWT"}, claims, self.key)

    def proof(self, method, url, token=None, nonce=None):
        claims = {"jti": str(uuid.uuid4()), "iat": int(time.time()), "htm": method, "htu": url}
        if token:
            claims["ath"] = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode()
        if nonce:
            claims["nonce"] = nonce
        header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": self.proof_key.as_dict(private=False)}
        return jwt.encode(header, claims, self.proof_key)


def wants_nonce(status, text):
    """Whether an answer asks for the server's nonce in the proof (RFC 9449 §8)."""
    return status == 400 and json.loads(text).get("error") == "use_dpop_nonce"


def agent():
    return Party(ENV["clients"]["agent"])


def plan_of(steps):
    """The form parameter that carries a plan of some steps at the stack's resource server."""
    location = ENV["resource_server"]["url"]
    plan = {
        "version": 1,
        "purpose": "Prove that a client which is not ours gets through.",
        "agent": ENV["clients"]["agent"]["client_id"],
        "user": {"username": ENV["user"]["username"]},
        "mode": "strict",
        "limits": {"lifetime_secs": 3600, "max_hops": 2},
        "steps": [{"location": location, **step} for step in steps],
    }
    return json.dumps([{"type": "agent_intent_plan", "plan": plan}])


READ = {
    "id": "list",
    "action": "list_service_accounts",
    "resource": {"type": "environment", "id": "production"},
    "uses": "any",
}


def approve(intent_id):
    """The person approves a plan, in a real browser with a passkey."""
    script = Path(__file__).parents[2] / "demo" / "approve"
    subprocess.run([script, intent_id], env={**os.environ, "MARQUE_DEMO_ENV": ENV_FILE}, check=True, capture_output=True)

"""An authorization server of another domain: Authlib's own, on Flask. It takes JWT grants (RFC 7523) of one issuer that it knows by
its address alone, each once, and gives bearer tokens for them."""

import logging
import threading
import time

import requests
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidScopeError
from authlib.oauth2.rfc7523 import JWTBearerGrant
from flask import Flask
from joserfc.jwk import KeySet
from werkzeug.serving import make_server

# Each refused grant would be a line of the test run.
logging.getLogger("werkzeug").setLevel(logging.ERROR)

TYPES = {"authorization-grant+jwt", "txn-chain+jwt"}


class Trusted(ClientMixin):
    """The issuer whose word is taken: the `client` of a grant, as Authlib has it."""

    def __init__(self, issuer):
        self.issuer = issuer

    def get_client_id(self):
        return self.issuer

    def check_grant_type(self, grant_type):
        return grant_type == JWTBearerGrant.GRANT_TYPE

    def get_allowed_scope(self, scope):
        return scope or ""


class Counterparty:
    """Listens on a port of its own until it is ended."""

    def __init__(self, port):
        self.issuer = f"http://localhost:{port}"
        self.trusted, self.users, self.used, self.given = None, {}, set(), []
        app = Flask("counterparty")
        self.server = AuthorizationServer(app, query_client=lambda _: None, save_token=self.save)
        self.server.register_grant(self.grant())
        app.post("/token")(lambda: self.server.create_token_response())
        self.listener = make_server("127.0.0.1", port, app, threaded=True)
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def end(self):
        self.listener.shutdown()

    def trust(self, issuer, users):
        """Takes the issuer's word for these users, by the names that it has for them."""
        self.trusted, self.users = Trusted(issuer), users

    def save(self, token, request):
        self.given.append({"sub": request.user, "scope": token.get("scope"), "token": token["access_token"]})

    def keys(self):
        return KeySet.import_key_set(requests.get(f"{self.trusted.issuer}/jwks", timeout=30).json())

    def grant(self):
        party = self

        class Grant(JWTBearerGrant):
            CLAIMS_OPTIONS = {name: {"essential": True} for name in ("iss", "aud", "sub", "exp", "iat", "jti")}
            LEEWAY = 5

            def resolve_issuer_client(self, issuer):
                return party.trusted if issuer == party.trusted.issuer else None

            def resolve_client_public_key(self, client):
                return party.keys()

            def authenticate_user(self, subject):
                return party.users.get(subject)

            def has_granted_permission(self, client, user):
                return True

            def get_audiences(self):
                return [party.issuer]

            def process_assertion_claims(self, assertion):
                claims = super().process_assertion_claims(assertion)
                headers, _ = self.extract_assertion(assertion)
                if headers.get("typ") not in TYPES or claims["aud"] != party.issuer:
                    raise InvalidGrantError(description="The assertion is no grant for this server alone.")
                if claims["exp"] - time.time() > 300 or claims["jti"] in party.used:
                    raise InvalidGrantError(description="The grant lives too long or was used.")
                asked = set((self.request.payload.scope or "").split())
                if not asked <= set(claims.get("scope", "").split()):
                    raise InvalidScopeError()
                party.used.add(claims["jti"])
                return claims

        return Grant

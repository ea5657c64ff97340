"""Authlib as the agent, joserfc as whoever checks its tokens."""

import time
import unittest

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from joserfc import jwt
from joserfc.jwk import KeySet
from requests.adapters import HTTPAdapter

from support import (
    ENV, GRANT_EXCHANGE, GRANT_INTENT, ISSUER, READ, TRUST_DOMAIN, TYPE_INTENT, TYPE_TXN, agent, approve, plan_of, wants_nonce,
)


class Proving(HTTPAdapter):
    """Authlib knows no DPoP: this adds a proof to each request, and sends it again where the server wants its nonce in it."""

    def __init__(self, party):
        super().__init__()
        self.party, self.nonce = party, None

    def send(self, request, **more):
        for _ in range(2):
            request.headers["DPoP"] = self.party.proof(request.method, request.url, nonce=self.nonce)
            response = super().send(request, **more)
            self.nonce = response.headers.get("DPoP-Nonce", self.nonce)
            if not wants_nonce(response.status_code, response.text):
                break
        return response


class ShortLived(PrivateKeyJWT):
    """By itself the library lets an assertion live for an hour; Marque takes five minutes at most."""

    def sign(self, auth, token_endpoint):
        self.claims = {"exp": int(time.time()) + 60}
        return super().sign(auth, token_endpoint)


def session_of(party):
    # The library's default audience is the endpoint; Marque wants the issuer alone (rfc7523bis).
    method = ShortLived(token_endpoint=ISSUER, alg="ES256")
    session = OAuth2Session(party.id, party.key, token_endpoint_auth_method=method)
    session.mount("http://", Proving(party))
    return session


class Authlib(unittest.TestCase):
    """Each test goes on from the one before: they run in the order of their names."""

    @classmethod
    def setUpClass(cls):
        cls.session = session_of(agent())
        cls.metadata = cls.get(f"{ISSUER}/.well-known/oauth-authorization-server")

    @classmethod
    def get(cls, url):
        return cls.session.get(url, withhold_token=True).json()

    def token(self, grant, **form):
        return self.session.fetch_token(self.metadata["token_endpoint"], grant_type=grant, **form)

    def claims_of(self, token, typ, **required):
        """The claims of a token whose signature, type and claims hold."""
        decoded = jwt.decode(token, KeySet.import_key_set(self.get(self.metadata["jwks_uri"])))
        self.assertEqual(decoded.header["typ"], typ)
        essential = {name: {"essential": True, "value": value} for name, value in required.items()}
        jwt.JWTClaimsRegistry(iss={"essential": True, "value": ISSUER}, exp={"essential": True}, **essential).validate(
            decoded.claims
        )
        return decoded.claims

    def refused(self, error, grant, **form):
        with self.assertRaises(OAuthError) as caught:
            self.token(grant, **form)
        self.assertEqual(caught.exception.error, error)
        self.assertTrue(caught.exception.description)

    def test_1_the_metadata_is_what_rfc_8414_asks_for(self):
        metadata = AuthorizationServerMetadata(self.metadata)
        # The library's own checks want https throughout, which a server on loopback has not: these need none.
        for member in ("response_types_supported", "grant_types_supported", "token_endpoint_auth_signing_alg_values_supported"):
            getattr(metadata, f"validate_{member}")()
        self.assertEqual(metadata["issuer"], ISSUER)

    def test_2_a_plan_is_submitted_approved_and_redeemed(self):
        form = {"authorization_details": plan_of([READ])}
        reply = self.session.post(
            self.metadata["marque_plan_endpoint"], data=form, withhold_token=True,
            auth=self.session.client_auth(self.session.token_endpoint_auth_method),
        )
        self.assertEqual(reply.status_code, 201, reply.text)
        intent = reply.json()
        self.refused("authorization_pending", GRANT_INTENT, intent_id=intent["intent_id"])
        self.refused("slow_down", GRANT_INTENT, intent_id=intent["intent_id"])
        approve(intent["intent_id"])
        time.sleep(intent["interval"] + 5)
        type(self).intent_token = self.token(GRANT_INTENT, intent_id=intent["intent_id"])["access_token"]
        claims = self.claims_of(self.intent_token, "intent+jwt", aud=ISSUER, client_id=self.session.client_id)
        self.assertEqual(claims["intent"]["id"], intent["intent_id"])

    def exchange(self, **form):
        return {
            "audience": TRUST_DOMAIN, "requested_token_type": TYPE_TXN, "subject_token": self.intent_token,
            "subject_token_type": TYPE_INTENT, **form,
        }

    def test_3_it_is_exchanged_for_a_transaction_token(self):
        answer = self.token(GRANT_EXCHANGE, **self.exchange())
        self.assertEqual((answer["issued_token_type"], answer["token_type"]), (TYPE_TXN, "N_A"))
        self.assertNotIn("refresh_token", answer)
        claims = self.claims_of(
            answer["access_token"], "txntoken+jwt", aud=TRUST_DOMAIN, sub=ENV["user"]["sub"], req_wl=self.session.client_id
        )
        self.assertLessEqual({"iat", "txn", "scope", "tctx", "cnf"}, claims.keys())

    def test_4_what_rfc_8693_refuses_is_refused(self):
        refresh = "urn:ietf:params:oauth:token-type:refresh_token"
        self.refused("invalid_request", GRANT_EXCHANGE, **self.exchange(subject_token_type=refresh))
        self.refused("invalid_request", GRANT_EXCHANGE, **self.exchange(subject_token=self.intent_token[:-4]))
        self.refused("invalid_target", GRANT_EXCHANGE, **self.exchange(audience="other.example"))
        self.refused("invalid_scope", GRANT_EXCHANGE, **self.exchange(scope="delete_everything"))
        self.refused("unsupported_grant_type", "password", username="alice", password="x")


if __name__ == "__main__":
    unittest.main()

"""A plan leaves the trust domain for an authorization server that is not ours: Authlib's (tests/outside/counterparty.py).

Authlib asks for the grants. authgent does so, too, with the transport that test_authgent.py describes."""

import os
import unittest

import httpx
import requests
from authgent.client import AgentAuthClient, ServerError
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet

from beside import Proving, Server, describe, free_port
from counterparty import Counterparty
from support import ENV, GRANT_EXCHANGE, GRANT_INTENT, ISSUER, READ, TRUST_DOMAIN, TYPE_INTENT, TYPE_TXN, agent, approve, plan_of
from test_authgent import Swapping
from test_authlib import ShortLived

# Everything here is on loopback.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

TYPE_JWT = "urn:ietf:params:oauth:token-type:jwt"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
USER = ENV["user"]


class Chaining(unittest.IsolatedAsyncioTestCase):
    """Each test goes on from what is granted once."""

    @classmethod
    def setUpClass(cls):
        cls.foreign = Counterparty(free_port())
        cls.addClassCleanup(cls.foreign.end)
        cls.server = Server(f'[[realms.foreign_issuers]]\nissuer = "{cls.foreign.issuer}"\n')
        cls.addClassCleanup(cls.server.end)
        cls.foreign.trust(ISSUER, {USER["sub"]: "alice of here"})
        action = {
            "class": "grant", "reversible": False, "resource": "scope", "args": {},
            "display": {"en": "Leave for another domain, to act there for you with {resource}"},
        }
        # Whoever comes after knows a resource server with one location.
        cls.addClassCleanup(describe({"version": 1, "location": cls.foreign.issuer, "actions": {"leave_domain": action}}))
        party = agent()
        method = ShortLived(token_endpoint=ISSUER, alg="ES256")
        cls.session = OAuth2Session(party.id, party.key, token_endpoint_auth_method=method)
        cls.session.mount("http://", Proving(party, cls.server))
        leave = {
            "id": "leave", "location": cls.foreign.issuer, "action": "leave_domain", "uses": 20,
            "resource": {"type": "scope", "id": "calendar.read contacts.read"}, "args": {"*": {"any": True}},
        }
        reply = cls.session.post(
            f"{ISSUER}/plans", data={"authorization_details": plan_of([READ, leave])}, withhold_token=True,
            auth=cls.session.client_auth(method),
        )
        assert reply.status_code == 201, reply.text
        intent = reply.json()["intent_id"]
        approve(intent)
        cls.intent = cls.token(GRANT_INTENT, intent_id=intent)["access_token"]
        cls.keys = KeySet.import_key_set(requests.get(f"{ISSUER}/jwks", timeout=30).json())

    @classmethod
    def token(cls, grant, **form):
        return cls.session.fetch_token(f"{ISSUER}/token", grant_type=grant, **form)

    def chain(self, subject, kind, **form):
        """A grant for the counter-party, as the profile asks for it, and its claims."""
        form = {
            "audience": self.foreign.issuer, "requested_token_type": TYPE_JWT, "subject_token": subject,
            "subject_token_type": kind, **form,
        }
        answer = self.token(GRANT_EXCHANGE, **form)
        self.assertEqual((answer["issued_token_type"], answer["token_type"]), (TYPE_JWT, "N_A"))
        self.assertNotIn("refresh_token", answer)
        return answer["access_token"], jwt.decode(answer["access_token"], self.keys)

    def redeem(self, assertion, **form):
        form = {"grant_type": JWT_BEARER, "assertion": assertion, **form}
        return requests.post(f"{self.foreign.issuer}/token", data=form, timeout=30)

    def refused(self, assertion, error="invalid_grant", **form):
        reply = self.redeem(assertion, **form)
        self.assertEqual((reply.status_code, reply.json()["error"]), (400, error), reply.text)

    def test_the_metadata_says_what_may_be_asked_for(self):
        metadata = requests.get(self.server.here(f"{ISSUER}/.well-known/oauth-authorization-server"), timeout=30).json()
        self.assertLessEqual({TYPE_JWT, TYPE_TXN}, set(metadata["identity_chaining_requested_token_types_supported"]))

    def test_an_intent_token_gives_a_grant_that_the_other_server_takes_once(self):
        grant, decoded = self.chain(self.intent, TYPE_INTENT, scope="calendar.read")
        self.assertEqual(decoded.header["typ"], "authorization-grant+jwt")
        self.assertEqual(set(decoded.claims), {"iss", "sub", "aud", "iat", "exp", "jti", "scope", "cnf"})
        self.assertEqual(decoded.claims["cnf"], {"jkt": agent().proof_key.thumbprint()})
        answer = self.redeem(grant, scope="calendar.read")
        self.assertEqual(answer.status_code, 200, answer.text)
        self.assertEqual((answer.json()["token_type"], answer.json()["scope"]), ("Bearer", "calendar.read"))
        self.assertNotIn("refresh_token", answer.json())
        self.assertEqual(self.foreign.given[-1]["sub"], "alice of here")
        self.refused(grant, scope="calendar.read")

    def test_a_chain_leaves_with_its_txn_and_nothing_else(self):
        txn = self.token(
            GRANT_EXCHANGE, audience=TRUST_DOMAIN, requested_token_type=TYPE_TXN, subject_token=self.intent,
            subject_token_type=TYPE_INTENT,
        )["access_token"]
        grant, decoded = self.chain(txn, TYPE_TXN)
        self.assertEqual(decoded.header["typ"], "txn-chain+jwt")
        self.assertEqual(set(decoded.claims), {"iss", "sub", "aud", "iat", "exp", "jti", "txn", "scope", "cnf"})
        self.assertEqual(decoded.claims["txn"], jwt.decode(txn, self.keys).claims["txn"])
        self.assertLessEqual(decoded.claims["exp"] - decoded.claims["iat"], 60)
        self.refused(txn)
        self.refused(self.intent)
        self.assertEqual(self.redeem(grant, scope="contacts.read").status_code, 200)
        self.refused(grant, scope="contacts.read")

    def test_what_is_not_signed_for_it_is_refused_there(self):
        grant, _ = self.chain(self.intent, TYPE_INTENT, scope="calendar.read")
        self.refused(grant, "invalid_scope", scope="contacts.read")
        start, end = grant.rsplit(".", 1)
        self.refused(f"{start}.{end[::-1]}")
        self.refused(f"{start}.")
        self.refused("not a token")
        self.assertEqual(self.redeem(grant).status_code, 200)

    def test_what_it_gives_is_taken_nowhere_at_home(self):
        grant, _ = self.chain(self.intent, TYPE_INTENT)
        given = self.redeem(grant, scope="calendar.read").json()["access_token"]
        for back in (given, grant):
            for kind in (TYPE_INTENT, TYPE_TXN, TYPE_JWT):
                with self.assertRaises(OAuthError) as caught:
                    self.chain(back, kind)
                self.assertEqual(caught.exception.error, "invalid_request")

    def test_nothing_leaves_for_another_server_or_with_more(self):
        for error, form in (
            ("invalid_target", {"audience": "https://elsewhere.example"}),
            ("invalid_target", {"resource": self.foreign.issuer}),
            ("invalid_scope", {"scope": "calendar.write"}),
        ):
            with self.assertRaises(OAuthError) as caught:
                self.chain(self.intent, TYPE_INTENT, **form)
            self.assertEqual(caught.exception.error, error)
            self.assertTrue(caught.exception.description)

    async def test_authgent_chains_from_one_domain_to_the_other(self):
        transport = Swapping(agent(), self.server.here)
        here = AgentAuthClient(ISSUER, http_client=httpx.AsyncClient(transport=transport, timeout=60))
        who = {"client_id": agent().id, "client_secret": "not sent"}
        grant = await here.start_identity_chain(self.intent, self.foreign.issuer, scopes=["calendar.read"], **who)
        self.assertEqual((transport.secrets, grant.token_type, grant.scope), (1, "N_A", "calendar.read"))
        there = AgentAuthClient(self.foreign.issuer, http_client=httpx.AsyncClient(timeout=60))
        token = await there.consume_identity_chain(grant.access_token, scopes=["calendar.read"], **who)
        self.assertEqual((token.token_type, token.scope), ("Bearer", "calendar.read"))
        with self.assertRaises(ServerError):
            await there.consume_identity_chain(grant.access_token, **who)
        with self.assertRaises(ServerError):
            await here.start_identity_chain(self.intent, "https://elsewhere.example", **who)


if __name__ == "__main__":
    unittest.main()

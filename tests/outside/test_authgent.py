"""authgent asks for a transaction token.

It authenticates with a client secret, knows no proof of possession, and calls every subject token an access token; Marque takes
no secret, and the token of an approved plan has a type of its own. So its HTTP transport, which is ours, takes the secret out of
the form, puts an assertion in its place, adds a proof, and names the type. The rest of the request is what authgent makes of
draft-ietf-oauth-transaction-tokens.
"""

import unittest
from urllib.parse import parse_qsl, urlencode

import httpx
from authgent.client import AgentAuthClient, ServerError
from joserfc import jwt

from support import (
    ASSERTION_TYPE, GRANT_INTENT, ISSUER, READ, TRUST_DOMAIN, TYPE_ACCESS, TYPE_INTENT, agent, approve, plan_of, wants_nonce,
)


class Swapping(httpx.AsyncBaseTransport):
    """Sends a form with an assertion and a proof in place of the secret."""

    def __init__(self, party, here=lambda url: url):
        self.party, self.inner, self.nonce, self.secrets = party, httpx.AsyncHTTPTransport(), None, 0
        self.here = here

    async def handle_async_request(self, request):
        form = dict(parse_qsl(request.content.decode(), keep_blank_values=True))
        self.secrets += form.pop("client_secret", None) is not None
        if form.get("subject_token_type") == TYPE_ACCESS:
            form["subject_token_type"] = TYPE_INTENT
        for _ in range(2):
            assertion = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.party.assertion()}
            proof = self.party.proof(request.method, str(request.url), nonce=self.nonce)
            headers = {"Content-Type": "application/x-www-form-urlencoded", "DPoP": proof}
            body = urlencode({**form, **assertion})
            response = await self.inner.handle_async_request(
                httpx.Request(request.method, self.here(str(request.url)), headers=headers, content=body)
            )
            await response.aread()
            self.nonce = response.headers.get("DPoP-Nonce", self.nonce)
            if not wants_nonce(response.status_code, response.text):
                break
        return response


class Authgent(unittest.IsolatedAsyncioTestCase):
    async def test_it_gets_a_transaction_token_for_an_approved_plan(self):
        party = agent()
        transport = Swapping(party)
        http = httpx.AsyncClient(transport=transport, timeout=60)
        granted = await self.granted(http)
        client = AgentAuthClient(ISSUER, http_client=http)
        ask = lambda **more: client.issue_transaction_token(
            **{
                "subject_token": granted, "trust_domain": TRUST_DOMAIN, "scope": "list_service_accounts",
                "client_id": party.id, "client_secret": "not sent", **more,
            }
        )
        result = await ask()
        self.assertEqual(transport.secrets, 1, "the transport is what takes the secret out")
        self.assertEqual((result.token_type, result.scope), ("N_A", "list_service_accounts"))
        self.assertGreater(result.expires_in, 0)
        self.assertIsInstance(result.access_token, str)
        for refused in ({"scope": "delete_everything"}, {"trust_domain": "other.example"}, {"subject_token": "x"}):
            with self.assertRaises(ServerError):
                await ask(**refused)

    async def granted(self, http):
        """The token of an approved plan."""
        reply = await http.post(f"{ISSUER}/plans", data={"authorization_details": plan_of([READ])})
        self.assertEqual(reply.status_code, 201, reply.text)
        intent = reply.json()["intent_id"]
        approve(intent)
        reply = await http.post(f"{ISSUER}/token", data={"grant_type": GRANT_INTENT, "intent_id": intent})
        self.assertEqual(reply.status_code, 200, reply.text)
        return reply.json()["access_token"]


if __name__ == "__main__":
    unittest.main()

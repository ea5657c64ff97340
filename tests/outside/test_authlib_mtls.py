"""Authlib with a certificate and no proof (RFC 8705), at a server beside the stack's own that takes certificates. What its tokens
say they are bound to is compared with cryptography's own reading of the certificate."""

import datetime
import json
import tempfile
import unittest
from pathlib import Path

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from joserfc.util import urlsafe_b64encode

from beside import Administrator, Server, free_port
from support import ENV, GRANT_EXCHANGE, GRANT_INTENT, ISSUER, READ, TRUST_DOMAIN, TYPE_INTENT, TYPE_TXN, approve, plan_of

CLIENT = "outside-authlib-mtls"


class Identity:
    """A certificate that vouches for itself, with its key, in files of a folder."""

    def __init__(self, folder, name, host):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        now = datetime.datetime.now(datetime.timezone.utc)
        hour = datetime.timedelta(hours=1)
        builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now - hour, now + hour)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        certificate = builder.sign(key, hashes.SHA256())
        self.files = (str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        for file, text in zip(self.files, (certificate.public_bytes(pem), private)):
            with open(file, "wb") as opened:
                opened.write(text)
        public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.jwk = ECKey.import_key(public).as_dict(private=False)
        self.thumbprint = urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).decode()


class MutualTls(unittest.TestCase):
    """Each test goes on from the one before: they run in the order of their names."""

    @classmethod
    def setUpClass(cls):
        port = free_port()

        def tls(folder):
            cls.listener = Identity(folder, "server", "localhost")
            cls.own, cls.other = (Identity(folder, name, "agent.example") for name in ("own", "other"))
            certificate, key = cls.listener.files
            lines = ("[tls]", f'listen = "127.0.0.1:{port}"', f'certificate = "{certificate}"', f'key = "{key}"',
                     f'url = "https://localhost:{port}"')
            return "\n".join(lines)

        cls.server = Server(further=tls)
        cls.addClassCleanup(cls.server.end)
        keys = [{**identity.jwk, "kid": str(at), "use": "sig", "alg": "ES256"} for at, identity in enumerate((cls.own, cls.other))]
        Administrator().replace({
            "clientId": CLIENT, "enabled": True, "publicClient": False, "clientAuthenticatorType": "client-jwt",
            "standardFlowEnabled": False, "serviceAccountsEnabled": True,
            "attributes": {
                "use.jwks.string": "true", "jwks.string": json.dumps({"keys": keys}), "marque.kind": "agent",
                "marque.users": ENV["user"]["username"],
            },
        })
        address = cls.server.here(f"{ISSUER}/.well-known/oauth-authorization-server")
        cls.metadata = requests.get(address, timeout=30).json()
        cls.endpoints = cls.metadata["mtls_endpoint_aliases"]
        cls.keys = KeySet.import_key_set(requests.get(f"{ISSUER}/jwks", timeout=30).json())

    def session(self, identity):
        """Authlib sends `client_id` alone; its TLS shows the certificate."""
        session = OAuth2Session(CLIENT, token_endpoint_auth_method="none")
        # A bundle that the environment names would take the place of the listener's own certificate.
        session.trust_env = False
        session.cert, session.verify = identity and identity.files, self.listener.files[0]
        return session

    def token(self, identity, grant, **form):
        session = self.session(identity)
        return session.fetch_token(self.endpoints["token_endpoint"], grant_type=grant, **form)

    def test_1_the_metadata_says_where_certificates_are_taken_and_that_tokens_are_bound(self):
        self.assertTrue(self.metadata["tls_client_certificate_bound_access_tokens"])
        self.assertIn("self_signed_tls_client_auth", self.metadata["token_endpoint_auth_methods_supported"])

    def test_2_a_plan_is_redeemed_and_its_token_is_bound_to_the_certificate(self):
        plan = json.loads(plan_of([READ]))
        plan[0]["plan"]["agent"] = CLIENT
        form = {"client_id": CLIENT, "authorization_details": json.dumps(plan)}
        reply = self.session(self.own).post(self.endpoints["marque_plan_endpoint"], data=form, withhold_token=True)
        self.assertEqual(reply.status_code, 201, reply.text)
        intent = reply.json()["intent_id"]
        approve(intent)
        answer = self.token(self.own, GRANT_INTENT, intent_id=intent)
        self.assertEqual(answer["token_type"], "Bearer")
        type(self).intent = answer["access_token"]
        decoded = jwt.decode(self.intent, self.keys)
        self.assertEqual((decoded.header["typ"], decoded.claims["cnf"]), ("intent+jwt", {"x5t#S256": self.own.thumbprint}))

    def exchange(self, identity):
        form = {"audience": TRUST_DOMAIN, "requested_token_type": TYPE_TXN}
        return self.token(identity, GRANT_EXCHANGE, subject_token=self.intent, subject_token_type=TYPE_INTENT, **form)

    def test_3_what_is_exchanged_for_it_is_bound_alike_and_introspection_says_so(self):
        answer = self.exchange(self.own)
        claims = jwt.decode(answer["access_token"], self.keys).claims
        self.assertEqual((answer["token_type"], claims["cnf"]), ("N_A", {"x5t#S256": self.own.thumbprint}))
        told = self.session(self.own).introspect_token(self.endpoints["introspection_endpoint"], answer["access_token"]).json()
        self.assertEqual((told["active"], told["cnf"]), (True, {"x5t#S256": self.own.thumbprint}))

    def test_4_another_certificate_of_the_very_client_exchanges_nothing_of_it(self):
        with self.assertRaises(OAuthError) as caught:
            self.exchange(self.other)
        self.assertEqual(caught.exception.error, "invalid_request")
        self.exchange(self.own)

    def test_5_without_a_certificate_or_with_an_unknown_one_it_is_nobody(self):
        with tempfile.TemporaryDirectory() as folder:
            stranger = Identity(Path(folder), "stranger", "agent.example")
            with self.assertRaises(OAuthError) as caught:
                self.exchange(stranger)
            self.assertEqual(caught.exception.error, "invalid_client")
        with self.assertRaises(OAuthError) as caught:
            self.exchange(None)
        self.assertEqual(caught.exception.error, "invalid_client")

    def test_6_it_ends_by_revocation(self):
        reply = self.session(self.own).revoke_token(self.endpoints["revocation_endpoint"], self.intent)
        self.assertEqual(reply.status_code, 200, reply.text)
        with self.assertRaises(OAuthError):
            self.exchange(self.own)


if __name__ == "__main__":
    unittest.main()

"""A Marque server beside the stack's own, with its keys and its database and further settings, and what it needs of the realm."""

import json
import os
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import requests
from joserfc import jws
from requests.adapters import HTTPAdapter

from support import ASSERTION_TYPE, ENV, ENV_FILE, ISSUER, Party, wants_nonce

ROOT = Path(__file__).parents[2]
MARQUE = os.environ.get("MARQUE", ROOT / "target/debug/marque")
REALM = ENV["keycloak"]["issuer"]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def until(what, ask, seconds=30):
    """Asks until there is an answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds} seconds")


def database():
    """The stack's database, which /proc tells of the running server."""
    pid = (Path(ENV_FILE).parent / "pids/marque").read_text().split()[0]
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return next(entry for entry in environment if entry.startswith("DATABASE_URL=")).removeprefix("DATABASE_URL=")


class Server:
    """Speaks for the stack's issuer at addresses of its own."""

    def __init__(self, realm="", further=lambda folder: ""):
        self.folder = tempfile.TemporaryDirectory(prefix="marque-outside-")
        plain, management = free_port(), free_port()
        config = (Path(ENV_FILE).parent / "marque.toml").read_text()
        for name, port in (("listen", plain), ("management", management)):
            config = re.sub(f"^{name} = .*$", f'{name} = "127.0.0.1:{port}"', config, count=1, flags=re.M)
        file = Path(self.folder.name) / "marque.toml"
        file.write_text(f"{config}\n{realm}\n{further(Path(self.folder.name))}\n")
        self.address = f"http://127.0.0.1:{plain}"
        self.process = subprocess.Popen(
            [MARQUE, "serve", "--config", file], env={**os.environ, "DATABASE_URL": database()},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        until("the server is ready", lambda: self.is_ready(f"http://127.0.0.1:{management}/health/ready"))

    def is_ready(self, url):
        assert self.process.poll() is None, "the server ended"
        try:
            return requests.get(url, timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def end(self):
        self.process.terminate()
        self.process.wait(20)
        self.folder.cleanup()

    def here(self, url):
        """An address of the issuer, at this server."""
        return url.replace(ISSUER.split("/realms/")[0], self.address, 1)


class Proving(HTTPAdapter):
    """Adds a proof to each request, sends it to a server, and again where that wants its nonce in the proof."""

    def __init__(self, party, server):
        super().__init__()
        self.party, self.server, self.nonce = party, server, None

    def send(self, request, **more):
        public = request.url
        for _ in range(2):
            request.headers["DPoP"] = self.party.proof(request.method, public, nonce=self.nonce)
            request.url = self.server.here(public)
            response = super().send(request, **more)
            self.nonce = response.headers.get("DPoP-Nonce", self.nonce)
            if not wants_nonce(response.status_code, response.text):
                break
        return response


class Administrator:
    """Changes clients of the realm."""

    def __init__(self):
        keycloak, admin = ENV["keycloak"], ENV["keycloak"]["admin"]
        form = {"grant_type": "password", "client_id": "admin-cli", **{name: admin[name] for name in ("username", "password")}}
        answer = requests.post(f"{keycloak['base']}/realms/master/protocol/openid-connect/token", data=form, timeout=30)
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self.clients = f"{keycloak['base']}/admin/realms/{keycloak['realm']}/clients"

    def find(self, client_id):
        return self.http.get(self.clients, params={"clientId": client_id}, timeout=30).json()

    def add_word(self, client_id, attribute, word):
        self.change_words(client_id, attribute, lambda words: {*words, word})

    def remove_word(self, client_id, attribute, word):
        self.change_words(client_id, attribute, lambda words: {*words} - {word})

    def change_words(self, client_id, attribute, change):
        client = self.find(client_id)[0]
        words = client["attributes"].get(attribute, "").split()
        client["attributes"][attribute] = " ".join(sorted(change(words)))
        self.expect(204, self.http.put(f"{self.clients}/{client['id']}", json=client, timeout=30))

    def replace(self, client):
        for old in self.find(client["clientId"]):
            self.http.delete(f"{self.clients}/{old['id']}", timeout=30)
        self.expect(201, self.http.post(self.clients, json=client, timeout=30))

    @staticmethod
    def expect(status, answer):
        assert answer.status_code == status, answer.text


def describe(catalog):
    """The stack's resource server publishes a catalog for a further location; the answer ends that it answers for it."""
    server = Party(ENV["clients"]["rs"])
    Administrator().add_word(server.id, "marque.locations", catalog["location"])
    header = {"alg": "ES256", "typ": "marque-catalog+jwt", "kid": server.key.kid}
    payload = json.dumps({"iss": server.id, **catalog}, sort_keys=True, separators=(",", ":"))
    signed = jws.serialize_compact(header, payload, server.key)

    def publish():
        form = {
            "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": server.assertion(REALM),
        }
        answer = requests.post(f"{REALM}/protocol/openid-connect/token", data=form, timeout=30)
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}", "Content-Type": "application/jose"}
        return requests.post(f"{ISSUER}/catalogs", data=signed, headers=headers, timeout=30).status_code == 201

    until("the realm's answer for the location is known", publish)
    return lambda: Administrator().remove_word(server.id, "marque.locations", catalog["location"])

// openid-client with a certificate and no DPoP key (RFC 8705), over undici's TLS, at a second server on the stack's database that
// takes certificates. What its tokens say they are bound to is checked with jose and with node's own reading of the certificate.
import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { createRemoteJWKSet, exportJWK, exportPKCS8, jwtVerify } from "jose";
import * as client from "openid-client";
import { Agent, fetch } from "undici";
import {
  GRANT_EXCHANGE, TYPE_ACCESS, TYPE_INTENT, TYPE_TXN, approve, env, issuer, planOf, read, rotate,
} from "./support.mjs";

const CLIENT = "outside-mtls";
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** A certificate that vouches for itself, with its key. */
async function identity(name) {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const extensions = [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: name }])];
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`, keys, signingAlgorithm: ALGORITHM, extensions,
  });
  return { cert: certificate.toString("pem"), key: await exportPKCS8(keys.privateKey), jwk: await exportJWK(keys.publicKey) };
}

/** `x5t#S256`, by node's own reading. */
function thumbprint(pem) {
  return Buffer.from(new X509Certificate(pem).fingerprint256.replaceAll(":", ""), "hex").toString("base64url");
}

const freePort = () => new Promise((found) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => found(port));
  });
});

/** A server beside the stack's own, with its keys and its database, which /proc tells of the running one. */
async function serve(own) {
  const stack = dirname(process.env.MARQUE_STACK);
  const [pid] = readFileSync(join(stack, "pids/marque"), "utf8").split(" ");
  const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  const DATABASE_URL = environment.find((entry) => entry.startsWith("DATABASE_URL=")).slice("DATABASE_URL=".length);
  const [plain, management, tls] = [await freePort(), await freePort(), await freePort()];
  const folder = mkdtempSync(join(tmpdir(), "marque-outside-"));
  writeFileSync(join(folder, "server.pem"), own.cert);
  writeFileSync(join(folder, "key.pem"), own.key, { mode: 0o600 });
  const origin = `https://localhost:${tls}`;
  const config = readFileSync(join(stack, "marque.toml"), "utf8")
    .replace(/^listen = .*$/m, `listen = "127.0.0.1:${plain}"`)
    .replace(/^management = .*$/m, `management = "127.0.0.1:${management}"`);
  writeFileSync(join(folder, "marque.toml"), `${config}
[tls]
listen = "127.0.0.1:${tls}"
certificate = "${join(folder, "server.pem")}"
key = "${join(folder, "key.pem")}"
url = "${origin}"
`);
  const marque = process.env.MARQUE ?? join(root, "target/debug/marque");
  const child = spawn(marque, ["serve", "--config", join(folder, "marque.toml")], {
    env: { ...process.env, DATABASE_URL }, stdio: "ignore",
  });
  const end = () => { child.kill(); rmSync(folder, { recursive: true }); };
  for (let tries = 0; tries < 100; tries += 1) {
    const ready = await fetch(`http://127.0.0.1:${management}/health/ready`).catch(() => undefined);
    if (ready?.status === 200) return { address: `http://127.0.0.1:${plain}`, origin, end };
    assert.equal(child.exitCode, null, "the server ended");
    await new Promise((done) => setTimeout(done, 100));
  }
  end();
  throw new Error("the server does not become ready");
}

/** Registers the client at the realm, with the keys of its certificates. */
async function register(keys) {
  const { base, realm, admin } = env.keycloak;
  const form = { grant_type: "password", client_id: "admin-cli", username: admin.username, password: admin.password };
  const signedIn = await fetch(`${base}/realms/master/protocol/openid-connect/token`, {
    method: "POST", body: new URLSearchParams(form),
  });
  const { access_token } = await signedIn.json();
  const headers = { authorization: `Bearer ${access_token}`, "content-type": "application/json" };
  const clients = `${base}/admin/realms/${realm}/clients`;
  for (const { id } of await (await fetch(`${clients}?clientId=${CLIENT}`, { headers })).json()) {
    await fetch(`${clients}/${id}`, { method: "DELETE", headers });
  }
  const jwks = { keys: keys.map((jwk, at) => ({ ...jwk, kid: `tls-${at}`, use: "sig", alg: "ES256" })) };
  const attributes = {
    "use.jwks.string": "true", "jwks.string": JSON.stringify(jwks), "marque.kind": "agent", "marque.users": env.user.username,
  };
  const answer = await fetch(clients, {
    method: "POST", headers, body: JSON.stringify({
      clientId: CLIENT, enabled: true, publicClient: false, clientAuthenticatorType: "client-jwt",
      standardFlowEnabled: false, serviceAccountsEnabled: true, attributes,
    }),
  });
  assert.equal(answer.status, 201, await answer.text());
}

describe("mutual TLS", () => {
  let server, own, other, granted;

  /** openid-client with a certificate. What it asks the issuer itself goes to the server beside the stack's own. */
  const configure = async ({ cert, key }) => {
    const dispatcher = new Agent({ connect: { cert, key, ca: server.cert } });
    const transport = (url, options) =>
      fetch(url.replace(new URL(issuer).origin, server.address), { ...options, dispatcher });
    const options = { algorithm: "oauth2", execute: [client.allowInsecureRequests], [client.customFetch]: transport };
    const metadata = { use_mtls_endpoint_aliases: true };
    return client.discovery(new URL(issuer), CLIENT, metadata, client.TlsClientAuth(), options);
  };
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
  const claimsOf = async (token, typ) => (await jwtVerify(token, keys, { issuer, typ })).payload;
  const exchange = (config, more) => client.genericGrantRequest(config, GRANT_EXCHANGE, {
    subject_token: granted.access_token, subject_token_type: TYPE_INTENT, ...more,
  });
  const transaction = { requested_token_type: TYPE_TXN, audience: env.marque.trust_domain };

  before(async () => {
    const listener = await identity("localhost");
    [own, other] = [await identity("agent.example"), await identity("agent.example")];
    await register([own.jwk, other.jwk]);
    server = { ...await serve(listener), cert: listener.cert };
  });
  after(() => server?.end());

  test("the metadata says where certificates are taken, and that tokens are bound to them", async () => {
    const metadata = (await configure(own)).serverMetadata();
    assert.equal(metadata.tls_client_certificate_bound_access_tokens, true);
    assert.ok(metadata.token_endpoint_auth_methods_supported.includes("self_signed_tls_client_auth"));
    assert.ok(metadata.mtls_endpoint_aliases.token_endpoint.startsWith(server.origin));
  });

  test("a plan is handed in and redeemed over TLS, and the token is bound to the certificate", async () => {
    const config = await configure(own);
    const form = {
      authorization_details: planOf([read, rotate], { agent: CLIENT }), login_hint: env.user.username, scope: "openid",
    };
    const begun = await client.initiateBackchannelAuthentication(config, form);
    const intent = new URL(begun.approval_uri).pathname.split("/").pop();
    [granted] = await Promise.all([client.pollBackchannelAuthenticationGrant(config, begun), approve(intent)]);
    assert.equal(granted.token_type, "bearer");
    const { cnf } = await claimsOf(granted.access_token, "intent+jwt");
    assert.deepEqual(cnf, { "x5t#S256": thumbprint(own.cert) });
  });

  test("what is exchanged for it is bound alike, and introspection says so", async () => {
    const config = await configure(own);
    const txn = await exchange(config, transaction);
    assert.equal(txn.issued_token_type, TYPE_TXN);
    const claims = await claimsOf(txn.access_token, "txntoken+jwt");
    assert.deepEqual(claims.cnf, { "x5t#S256": thumbprint(own.cert) });
    const access = await exchange(config, { requested_token_type: TYPE_ACCESS, resource: env.resource_server.url });
    assert.equal(access.token_type, "bearer");
    const { cnf, aud } = await claimsOf(access.access_token, "at+jwt");
    assert.deepEqual([cnf, aud], [{ "x5t#S256": thumbprint(own.cert) }, env.resource_server.url]);
    const told = await client.tokenIntrospection(config, txn.access_token);
    assert.equal(told.active, true);
    assert.deepEqual(told.cnf, { "x5t#S256": thumbprint(own.cert) });
  });

  test("another certificate of the very client exchanges nothing of it", async () => {
    await assert.rejects(exchange(await configure(other), transaction), { error: "invalid_request" });
    await exchange(await configure(own), transaction);
  });
});

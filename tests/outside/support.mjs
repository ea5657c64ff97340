// What the tests of this folder share: the running stack, its clients' keys, plans, and the scripted person.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { SignJWT, exportJWK } from "jose";

const folder = dirname(fileURLToPath(import.meta.url));
const envFile = process.env.MARQUE_STACK;
if (!envFile) throw new Error("MARQUE_STACK must name the env.json of a running stack; make test starts one");

export const env = JSON.parse(readFileSync(envFile, "utf8"));
export const issuer = env.marque.issuer;

export const GRANT_INTENT = "urn:marque:oauth:grant-type:intent";
export const GRANT_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
export const TYPE_INTENT = "urn:marque:oauth:token-type:intent";
export const TYPE_TXN = "urn:ietf:params:oauth:token-type:txn_token";
export const TYPE_ACCESS = "urn:ietf:params:oauth:token-type:access_token";

const ES256 = { name: "ECDSA", namedCurve: "P-256" };

/** A client of the realm: its id, the key that it signs assertions with, the pair that its tokens are bound to. */
export async function clientOf({ client_id, key, dpop_key }) {
  const signing = readKey(key);
  return {
    id: client_id,
    kid: signing.kid,
    key: await importPrivate(signing),
    dpop: await pairOf(readKey(dpop_key)),
  };
}

function readKey(file) {
  return JSON.parse(readFileSync(file, "utf8"));
}

function importPrivate({ kty, crv, x, y, d }) {
  return crypto.subtle.importKey("jwk", { kty, crv, x, y, d }, ES256, false, ["sign"]);
}

async function pairOf(jwk) {
  const { kty, crv, x, y } = jwk;
  const publicKey = await crypto.subtle.importKey("jwk", { kty, crv, x, y }, ES256, true, ["verify"]);
  return { privateKey: await importPrivate(jwk), publicKey };
}

/** The form parameter that carries a plan of some steps at the stack's resource server. */
export function planOf(steps, more = {}) {
  const plan = {
    version: 1,
    purpose: "Prove that a client which is not ours gets through.",
    agent: env.clients.agent.client_id,
    user: { username: env.user.username },
    mode: "strict",
    limits: { lifetime_secs: 3600, max_hops: 2 },
    steps: steps.map((step) => ({ location: env.resource_server.url, ...step })),
    ...more,
  };
  return JSON.stringify([{ type: "agent_intent_plan", plan }]);
}

/** A proof of a key for a request with a token (RFC 9449 §4.2, §7). */
export async function proofOf(pair, method, url, token) {
  const ath = Buffer.from(await crypto.subtle.digest("SHA-256", Buffer.from(token))).toString("base64url");
  const { kty, crv, x, y } = await exportJWK(pair.publicKey);
  return new SignJWT({ jti: crypto.randomUUID(), htm: method, htu: url, ath })
    .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk: { kty, crv, x, y } })
    .setIssuedAt()
    .sign(pair.privateKey);
}

/** Two steps: an uncounted read, and a rotation that the worker may carry out too. */
export const read = {
  id: "list",
  action: "list_service_accounts",
  resource: { type: "environment", id: "production" },
  uses: "any",
};
export const rotate = { id: "rotate", action: "rotate_key", resource: { type: "service_account", id: "svc-api" } };
export const toWorker = { delegates: [{ client_id: env.clients.worker.client_id, steps: ["rotate"] }] };

/** The person approves a plan, in a real browser with a passkey. */
export async function approve(intentId) {
  const script = join(folder, "../../demo/approve");
  const { stdout } = await promisify(execFile)(script, [intentId], {
    env: { ...process.env, MARQUE_DEMO_ENV: envFile },
  });
  return JSON.parse(stdout);
}

export const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

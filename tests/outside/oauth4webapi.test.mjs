// oauth4webapi as the agent and the worker, jose as whoever checks their tokens.
import { strict as assert } from "node:assert";
import { after, before, describe, test } from "node:test";
import * as jose from "jose";
import * as oauth from "oauth4webapi";
import { getListFromStatusListJWT } from "@sd-jwt/jwt-status-list";
import {
  GRANT_EXCHANGE, GRANT_INTENT, TYPE_ACCESS, TYPE_INTENT, TYPE_TXN, approve, clientOf, env, issuer, pause, planOf, proofOf,
  read, rotate, toWorker,
} from "./support.mjs";

const insecure = { [oauth.allowInsecureRequests]: true };
/** RFC 8693 §2.2.1: what is no access token has the type N_A. */
const recognizedTokenTypes = { n_a: () => {} };

/** A party: the library's client, its authentication, its proofs. */
async function party(files) {
  const client = await clientOf(files);
  const known = { client_id: client.id };
  const auth = oauth.PrivateKeyJwt({ key: client.key, kid: client.kid });
  return { known, auth, dpop: client.dpop, DPoP: oauth.DPoP(known, client.dpop) };
}

/** A request; the same once more where the server wants its nonce in the proof (RFC 9449 §8). */
async function withNonce(request) {
  const first = await request();
  const wantsNonce = first.headers.has("dpop-nonce") && (await first.clone().json()).error === "use_dpop_nonce";
  return wantsNonce ? request() : first;
}

describe("oauth4webapi and jose", () => {
  let as, agent, worker, keys, intent, granted, txn, hop;

  async function submit(who, details) {
    const at = { ...as, pushed_authorization_request_endpoint: as.marque_plan_endpoint };
    const form = { authorization_details: details };
    const send = () => oauth.pushedAuthorizationRequest(at, who.known, who.auth, form, { DPoP: who.DPoP, ...insecure });
    const response = await withNonce(send);
    return { status: response.status, headers: response.headers, body: await response.json() };
  }

  async function token(who, grant, form) {
    const send = () =>
      oauth.genericTokenEndpointRequest(as, who.known, who.auth, grant, form, { DPoP: who.DPoP, ...insecure });
    const response = await withNonce(send);
    assert.equal(response.headers.get("cache-control"), "no-store");
    return oauth.processGenericTokenEndpointResponse(as, who.known, response, { recognizedTokenTypes });
  }

  const exchange = (who, subject_token, subject_token_type, more) =>
    token(who, GRANT_EXCHANGE, {
      subject_token, subject_token_type, requested_token_type: TYPE_TXN, audience: env.marque.trust_domain, ...more,
    });

  /** What the list says of the intent token, and how long it may be kept. */
  async function status() {
    const { idx, uri } = jose.decodeJwt(granted.access_token).status.status_list;
    const jwt = await (await fetch(uri, { headers: { accept: "application/statuslist+jwt" } })).text();
    const expected = { issuer, subject: uri, typ: "statuslist+jwt", requiredClaims: ["iat", "ttl"] };
    const { payload } = await jose.jwtVerify(jwt, keys, expected);
    return { ttl: payload.ttl, status: getListFromStatusListJWT(jwt).getStatus(idx) };
  }

  const refusal = (error) => (caught) => {
    assert.ok(caught instanceof oauth.ResponseBodyError, caught);
    assert.equal(caught.error, error);
    assert.ok(caught.error_description);
    return true;
  };

  before(async () => {
    [agent, worker] = await Promise.all([party(env.clients.agent), party(env.clients.worker)]);
  });

  test("the metadata is found under an issuer with a path", async () => {
    const response = await oauth.discoveryRequest(new URL(issuer), { algorithm: "oauth2", ...insecure });
    as = await oauth.processDiscoveryResponse(new URL(issuer), response);
    assert.ok(as.grant_types_supported.includes(GRANT_INTENT));
    assert.ok(as.token_endpoint_auth_methods_supported.includes("private_key_jwt"));
    keys = jose.createRemoteJWKSet(new URL(as.jwks_uri));
  });

  test("a plan is submitted", async () => {
    const { status, headers, body } = await submit(agent, planOf([read, rotate], toWorker));
    assert.equal(status, 201, JSON.stringify(body));
    assert.equal(headers.get("cache-control"), "no-store");
    assert.ok(body.approval_uri.startsWith(issuer));
    intent = body;
  });

  test("the agent polls, too early once, until the person has approved", async () => {
    const poll = () => token(agent, GRANT_INTENT, { intent_id: intent.intent_id });
    await assert.rejects(poll, refusal("authorization_pending"));
    await assert.rejects(poll, refusal("slow_down"));
    await approve(intent.intent_id);
    await pause(intent.interval + 5);
    granted = await poll();
    const { protectedHeader } = await jose.jwtVerify(granted.access_token, keys, {
      issuer, audience: issuer, typ: "intent+jwt", requiredClaims: ["exp", "jti", "cnf", "client_id", "intent"],
    });
    assert.equal(protectedHeader.alg, "ES256");
  });

  test("another client has no such intent", async () => {
    const poll = () => token(worker, GRANT_INTENT, { intent_id: intent.intent_id });
    await assert.rejects(poll, refusal("invalid_grant"));
  });

  test("the intent token is exchanged for a transaction token", async () => {
    txn = await exchange(agent, granted.access_token, TYPE_INTENT, {});
    assert.equal(txn.issued_token_type, TYPE_TXN);
    assert.equal(txn.refresh_token, undefined);
    const { payload } = await jose.jwtVerify(txn.access_token, keys, {
      issuer, audience: env.marque.trust_domain, typ: "txntoken+jwt",
      requiredClaims: ["iat", "exp", "txn", "sub", "scope", "req_wl", "tctx", "cnf"],
    });
    assert.equal(payload.cnf.jkt, await jose.calculateJwkThumbprint(await jose.exportJWK(agent.dpop.publicKey)));
    assert.equal(payload.req_wl, agent.known.client_id);
    assert.equal(payload.sub, env.user.sub);
  });

  test("the worker replaces it by a narrower one of the same transaction", async () => {
    const parent = jose.decodeJwt(txn.access_token);
    const steps = JSON.stringify([{ type: "agent_intent_step", id: "rotate" }]);
    hop = await exchange(worker, txn.access_token, TYPE_TXN, { authorization_details: steps });
    const { payload } = await jose.jwtVerify(hop.access_token, keys, { typ: "txntoken+jwt" });
    for (const claim of ["txn", "sub", "aud"]) assert.equal(payload[claim], parent[claim]);
    assert.equal(payload.act.sub, worker.known.client_id);
    assert.equal(payload.act.act.sub, agent.known.client_id);
    assert.deepEqual(hop.authorization_details.map((step) => step.id), ["rotate"]);
  });

  test("what is not in the parent, another audience and a refresh token are refused", async () => {
    const steps = JSON.stringify([{ type: "agent_intent_step", id: "list" }]);
    await assert.rejects(
      exchange(worker, hop.access_token, TYPE_TXN, { authorization_details: steps }), refusal("invalid_request"));
    await assert.rejects(
      exchange(agent, granted.access_token, TYPE_INTENT, { audience: "other.example" }), refusal("invalid_target"));
    await assert.rejects(
      exchange(agent, granted.access_token, "urn:ietf:params:oauth:token-type:refresh_token", {}), refusal("invalid_request"));
  });

  test("a shared secret is no authentication", async () => {
    const auth = oauth.ClientSecretBasic("secret");
    const poll = token({ ...agent, auth }, GRANT_INTENT, { intent_id: intent.intent_id });
    await assert.rejects(poll, (caught) => {
      assert.ok(caught instanceof oauth.WWWAuthenticateChallengeError, caught);
      assert.equal(caught.status, 401);
      return true;
    });
  });

  test("an access token for the resource server is one by RFC 9068", async () => {
    const location = env.resource_server.url;
    const access = await token(agent, GRANT_EXCHANGE, {
      subject_token: granted.access_token, subject_token_type: TYPE_INTENT, requested_token_type: TYPE_ACCESS,
      resource: location,
    });
    assert.equal(access.token_type, "dpop");
    const request = new Request(`${location}/service-accounts`, {
      headers: {
        authorization: `DPoP ${access.access_token}`,
        dpop: await proofOf(agent.dpop, "GET", `${location}/service-accounts`, access.access_token),
      },
    });
    const claims = await oauth.validateJwtAccessToken(as, request, location, { ...insecure });
    assert.equal(claims.client_id, agent.known.client_id);
    assert.deepEqual(claims.authorization_details.map((step) => step.location), [location, location]);
  });

  test("its status stands in a list, which another library reads", async () => {
    assert.equal((await status()).status, 0);
  });

  // The library reads lists; it has no word for where all of them are named.
  test("every list is named where the metadata says", async () => {
    const place = as.status_list_aggregation_endpoint;
    const { status_lists: lists } = await (await fetch(place)).json();
    assert.ok(lists.includes(jose.decodeJwt(granted.access_token).status.status_list.uri));
    for (const uri of lists) {
      const jwt = await (await fetch(uri)).text();
      const { payload } = await jose.jwtVerify(jwt, keys, { issuer, subject: uri, typ: "statuslist+jwt" });
      assert.equal(payload.status_list.aggregation_uri, place);
      assert.equal(getListFromStatusListJWT(jwt).getBitsPerStatus(), 2);
    }
  });

  test("introspection tells the holder, and nobody else", async () => {
    const ask = (who, presented) =>
      oauth.introspectionRequest(as, who.known, who.auth, presented, { ...insecure });
    const answer = async (who, presented) => oauth.processIntrospectionResponse(as, who.known, await ask(who, presented));
    const mine = await answer(agent, txn.access_token);
    assert.equal(mine.active, true);
    assert.equal(mine.client_id, agent.known.client_id);
    assert.deepEqual(await answer(worker, txn.access_token), { active: false });
    assert.deepEqual(await answer(agent, "no token"), { active: false });
  });

  test("revocation ends what came from the token, and is no oracle", async () => {
    const revoke = async (who, presented) => {
      const response = await oauth.revocationRequest(as, who.known, who.auth, presented, { ...insecure });
      await oauth.processRevocationResponse(response);
    };
    await revoke(worker, "no token");
    await revoke(worker, txn.access_token);
    await exchange(agent, txn.access_token, TYPE_TXN, {});
    await revoke(agent, granted.access_token);
    await assert.rejects(exchange(agent, txn.access_token, TYPE_TXN, {}), refusal("invalid_request"));
  });

  test("the status list tells of it once the list is made anew", async () => {
    await pause((await status()).ttl + 1);
    assert.equal((await status()).status, 1);
  });
});

// openid-client as the agent: by CIBA and by the intent grant. It repeats a request with the server's nonce by itself.
import { strict as assert } from "node:assert";
import { before, describe, test } from "node:test";
import * as client from "openid-client";
import {
  GRANT_EXCHANGE, GRANT_INTENT, TYPE_INTENT, TYPE_TXN, approve, clientOf, env, issuer, planOf, read,
} from "./support.mjs";

describe("openid-client", () => {
  let config, DPoP;

  before(async () => {
    const agent = await clientOf(env.clients.agent);
    const auth = client.PrivateKeyJwt({ key: agent.key, kid: agent.kid });
    const options = { algorithm: "oauth2", execute: [client.allowInsecureRequests] };
    config = await client.discovery(new URL(issuer), agent.id, undefined, auth, options);
    DPoP = client.getDPoPHandle(config, agent.dpop);
  });

  const transaction = async (granted, more = {}) => {
    const form = {
      subject_token: granted.access_token, subject_token_type: TYPE_INTENT, requested_token_type: TYPE_TXN,
      audience: env.marque.trust_domain, ...more,
    };
    return client.genericGrantRequest(config, GRANT_EXCHANGE, form, { DPoP });
  };

  test("CIBA: a plan is handed in, the person approves, the poll is answered", async () => {
    const metadata = config.serverMetadata();
    assert.deepEqual(metadata.backchannel_token_delivery_modes_supported, ["poll"]);
    // This request of the library carries no proof: it names the key (RFC 9449 §10), which polling proves.
    const form = {
      authorization_details: planOf([read]), login_hint: env.user.username, scope: "openid",
      dpop_jkt: await DPoP.calculateThumbprint(),
    };
    const begun = await client.initiateBackchannelAuthentication(config, form);
    assert.match(begun.digest_words, /^\w+-\w+-\w+-\w+/);
    const intent = new URL(begun.approval_uri).pathname.split("/").pop();
    const [granted] = await Promise.all([
      client.pollBackchannelAuthenticationGrant(config, begun, undefined, { DPoP }),
      approve(intent),
    ]);
    assert.equal(granted.token_type, "dpop");
    const txn = await transaction(granted, { scope: "list_service_accounts" });
    assert.equal(txn.issued_token_type, TYPE_TXN);

    const told = await client.tokenIntrospection(config, txn.access_token);
    assert.equal(told.active, true);
    assert.equal(told.client_id, env.clients.agent.client_id);
    await client.tokenRevocation(config, granted.access_token);
    assert.deepEqual(await client.tokenIntrospection(config, txn.access_token), { active: false });
    await assert.rejects(transaction(granted), { error: "invalid_request" });
  });

  test("the intent grant is one more grant to it", async () => {
    const poll = (intent_id) => client.genericGrantRequest(config, GRANT_INTENT, { intent_id }, { DPoP });
    await assert.rejects(poll("0190a1b2-0000-7000-8000-000000000000"), { error: "invalid_grant" });
  });
});

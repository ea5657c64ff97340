// Registers a passkey at Keycloak and stores it. The password comes from MARQUE_DEMO_PASSWORD.
import { parseArgs } from "node:util";
import { register } from "./registration.mjs";
import { save, whileLocked } from "./store.mjs";

const TRIES = 3;

const { values } = parseArgs({ options: {
  keycloak: { type: "string" }, realm: { type: "string" }, user: { type: "string" }, passkey: { type: "string" } } });
const password = process.env.MARQUE_DEMO_PASSWORD;
if (!values.keycloak || !values.realm || !values.user || !values.passkey || !password) {
  throw new Error("usage: MARQUE_DEMO_PASSWORD=… register.mjs --keycloak URL --realm NAME --user NAME --passkey FILE");
}
for (let tries = 1; ; tries++) {
  try {
    const passkeys = await register({ ...values, password });
    await whileLocked(values.passkey, () => save(values.passkey, passkeys));
    break;
  } catch (error) {
    console.error(`try ${tries}: ${error.message}`);
    if (tries === TRIES) throw error;
  }
}

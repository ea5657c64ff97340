// The scripted person's command line, for an intent or for one call of it (a step-up): demo/approve ID [--deny REASON] [--user NAME] [--revoke] [--screenshot FILE]
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openBrowser, openTab } from "./kit.mjs";
import { approve, deny, describe, openApproval, revoke } from "./person.mjs";

const USAGE = "usage: demo/approve ID [--deny REASON] [--user NAME] [--revoke] [--screenshot FILE]";
const INTENT_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** The states of the intent that each act may leave behind; a decision on one call leaves it as it was. */
const STATES = { approved: ["approved", "active"], denied: ["denied"], revoked: ["revoked"] };
const STATES_OF_CALL = { approved: ["active"], denied: ["active"], revoked: [] };

function readCommandLine() {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: {
    deny: { type: "string" }, user: { type: "string" }, revoke: { type: "boolean", default: false }, screenshot: { type: "string" } } });
  if (positionals.length !== 1 || !INTENT_ID.test(positionals[0])) throw new Error(USAGE);
  if (values.revoke && values.deny !== undefined) throw new Error(`--deny and --revoke exclude each other; ${USAGE}`);
  return { intentId: positionals[0], ...values };
}

function readEnv() {
  const project = join(dirname(fileURLToPath(import.meta.url)), "../..");
  const file = process.env.MARQUE_DEMO_ENV || join(project, "target/demo/env.json");
  if (!existsSync(file)) throw new Error(`${file} is missing: make up starts the demonstration`);
  return JSON.parse(readFileSync(file, "utf8"));
}

/** Who acts: the demo user, or another of the realm's users, who share its password. */
function personOf(env, name = env.user.username) {
  return { username: name, password: env.user.password, passkey: join(dirname(env.user.passkey), `${name}.json`) };
}

async function decide(tab, env, wanted, person) {
  const marque = env.marque.issuer;
  const seen = await openApproval(tab, marque, wanted.intentId, person);
  if (wanted.screenshot) await tab.page.screenshot({ path: wanted.screenshot, fullPage: true });
  if (seen.place !== "page") return { outcome: "refused", ...seen };
  const place = wanted.deny === undefined ? await approve(tab, marque, person.passkey) : await deny(tab, marque, wanted.deny);
  const done = wanted.deny === undefined ? "approved" : "denied";
  return { outcome: place === "marque" ? done : "refused", ...seen, place };
}

async function withdraw(tab, env, wanted, person) {
  const place = await revoke(tab, env.marque.issuer, wanted.intentId, person);
  const times = tab.pressedAt === undefined ? {} : { pressed_at_ms: tab.pressedAt, confirmed_at_ms: Date.now() };
  if (wanted.screenshot) await tab.page.screenshot({ path: wanted.screenshot, fullPage: true });
  return { outcome: place === "revoked" ? "revoked" : "refused", place, ...times };
}

/** A page that says otherwise, by its status or by the intent's state, overrules. After a call it is of another id: the intent's. */
function judged(act, page, id) {
  const states = page.url.endsWith(`/receipt/${id}`) ? STATES : STATES_OF_CALL;
  const isGood = act.outcome in states && page.status < 400 && (page.state === undefined || states[act.outcome].includes(page.state));
  return { ...act, outcome: isGood ? act.outcome : "refused" };
}

async function act(wanted) {
  const env = readEnv();
  const person = personOf(env, wanted.user);
  const { browser, context } = await openBrowser();
  try {
    const tab = await openTab(context);
    const done = await (wanted.revoke ? withdraw : decide)(tab, env, wanted, person);
    const page = await describe(tab);
    return { ...judged(done, page, wanted.intentId), ...page };
  } finally {
    await browser.close();
  }
}

let intentId;
try {
  const wanted = readCommandLine();
  intentId = wanted.intentId;
  const { outcome, ...seen } = await act(wanted);
  console.log(JSON.stringify({ outcome, intent_id: intentId, ...seen }));
  process.exitCode = outcome === "refused" ? 1 : 0;
} catch (error) {
  console.log(JSON.stringify({ outcome: "failed", intent_id: intentId, error: error.message.split("\n")[0] }));
  process.exitCode = 1;
}

// Drives browsers for the tests: reads one command per line, {act, …}, and answers each with one line of JSON.
// A tab is named by the test; tabs of one `browser` name share their cookies, as in one browser.
import { createInterface } from "node:readline";
import { addPasskey, arrive, isAt, openBrowser, openTab, readPasskeys, shows, signIn, texts } from "../../../demo/browser/kit.mjs";
import { deny, describe, openApproval } from "../../../demo/browser/person.mjs";
import { load, save, whileLocked } from "../../../demo/browser/store.mjs";
import { assertion } from "./passkey.mjs";

const [marque] = process.argv.slice(2);
const KEYCLOAK_ERROR = "#kc-error-message, #input-error";
const { browser } = await openBrowser();
const contexts = new Map(), tabs = new Map();

async function contextOf(name = "desk") {
  if (!contexts.has(name)) contexts.set(name, await browser.newContext({ locale: "en-US" }));
  return contexts.get(name);
}
async function tabOf({ tab, browser: name, verified }) {
  if (!tabs.has(tab)) tabs.set(tab, await openTab(await contextOf(name), { verified }));
  return tabs.get(tab);
}

/** The challenge of the approval page that the tab shows, if it shows one. */
const challengeOf = (page) => page.evaluate(() => document.getElementById("marque-approval")?.dataset.challenge);

/** Where the answer to a page led: to Marque, to Keycloak's error page, or to the plan once more. */
const led = (tab, challenge) => arrive(tab, { marque: isAt(marque), refused: shows(KEYCLOAK_ERROR),
  again: async (page) => ![undefined, challenge].includes(await challengeOf(page)) });

async function seen(tab, more) {
  const says = await texts(tab.page, "#message");
  return { ...more, ...(await describe(tab)), text: says.join(" ") };
}

/** An assertion by the stored passkey, as the form would carry it; the counter is written back. */
const signed = (tab, { passkey, change }) => whileLocked(passkey, async () => {
  const [credential, ...others] = load(passkey);
  credential.signCount += 1;
  save(passkey, { credentials: [credential, ...others] });
  const place = { challenge: await challengeOf(tab.page), origin: new URL(tab.page.url()).origin };
  return assertion(credential, { ...place, ...change });
});

async function gesture(tab, passkey) {
  const forget = () => tab.cdp.send("WebAuthn.clearCredentials", { authenticatorId: tab.authenticatorId });
  const challenge = await challengeOf(tab.page), stored = load(passkey);
  await forget();
  for (const credential of stored) await addPasskey(tab, credential);
  await tab.page.click("#marque-approve");
  try {
    return await led(tab, challenge);
  } finally {
    if (stored.length > 0) save(passkey, await readPasskeys(tab));
    await forget(); // a sign-in form would offer the passkey, and use it
  }
}

const acts = {
  /** Opens the approval of an intent and signs in where Keycloak asks for it. */
  async open({ intent, person, ...which }) {
    const tab = await tabOf(which);
    const found = await openApproval(tab, marque, intent, person);
    return seen(tab, { ...found, challenge: await challengeOf(tab.page) });
  },
  /** Opens an address and signs in where Keycloak asks for it, until Marque shows `until`. */
  async visit({ url, person, ...which }) {
    const tab = await tabOf(which);
    await tab.page.goto(url);
    const ends = { marque: isAt(marque), refused: shows(KEYCLOAK_ERROR) };
    if (await arrive(tab, { form: shows("#kc-login"), ...ends }) === "form" && person) {
      await signIn(tab, person.username, person.password);
      await arrive(tab, ends);
    }
    return seen(tab, {});
  },
  /** Signs in at the form that the tab shows. */
  async enter({ person, ...which }) {
    const tab = await tabOf(which);
    await signIn(tab, person.username, person.password);
    return seen(tab, { place: await led(tab) });
  },
  /** The one gesture. */
  async press({ passkey, ...which }) {
    const tab = await tabOf(which);
    return seen(tab, { place: await whileLocked(passkey, () => gesture(tab, passkey)) });
  },
  async deny({ reason, ...which }) {
    const tab = await tabOf(which);
    return seen(tab, { place: await deny(tab, marque, reason) });
  },
  /** Shows the tab's page once more. */
  async settle({ challenge, ...which }) {
    const tab = await tabOf(which);
    const place = await led(tab, challenge);
    return seen(tab, { place, challenge: await challengeOf(tab.page) });
  },
  /** Leaves the page: Keycloak's script there would answer the sign-in as well, once the browser is signed in. */
  async leave(which) {
    const tab = await tabOf(which);
    await tab.page.goto("about:blank");
    return seen(tab, {});
  },
  /** What the form would post, and to where, without posting it. */
  async sign({ passkey, change, ...which }) {
    const tab = await tabOf(which);
    const url = new URL(await tab.page.getAttribute("#webauth", "action"), tab.page.url()).href;
    return { url, form: await signed(tab, { passkey, change }) };
  },
  /** Posts such a form as the page would. */
  async submit({ form, ...which }) {
    const tab = await tabOf(which);
    const challenge = await challengeOf(tab.page);
    await tab.page.evaluate((values) => {
      const page = document.getElementById("webauth");
      for (const [name, value] of Object.entries(values)) page.elements[name].value = value;
      page.submit();
    }, form);
    return seen(tab, { place: await led(tab, challenge) });
  },
  /** The same request, so many times at once, with the browser's cookies; redirects are not followed. */
  async request({ browser: name, url, form, times = 1 }) {
    const { request } = await contextOf(name);
    const once = () => (form ? request.post(url, { form, maxRedirects: 0 }) : request.get(url, { maxRedirects: 0 }));
    const answers = await Promise.all(Array.from({ length: times }, once));
    return { answers: await Promise.all(answers.map(async (answer) =>
      ({ status: answer.status(), location: answer.headers().location ?? null, text: await answer.text() }))) };
  },
  /** The texts of all that a selector finds, exactly, and how many elements they hold. */
  async read({ selector, ...which }) {
    const found = (await tabOf(which)).page.locator(selector);
    return { texts: await found.allTextContents(), elements: await found.locator("*").count() };
  },
  /** The value of an attribute. */
  async attribute({ selector, name, ...which }) {
    return { value: await (await tabOf(which)).page.getAttribute(selector, name) };
  },
  /** The values of a header with which the tab's page came. */
  async header({ name, ...which }) {
    const headers = await (await tabOf(which)).headers();
    return { values: headers.filter((header) => header.name.toLowerCase() === name).map((header) => header.value) };
  },
  /** Whether a name is defined in the page. */
  async defines({ name, ...which }) {
    return { defined: await (await tabOf(which)).page.evaluate((key) => key in globalThis, name) };
  },
};

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const { act, ...command } = JSON.parse(line);
    const answer = await acts[act](command).catch((error) => ({ error: error.message.split("\n")[0] }));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
} finally {
  await browser.close();
}

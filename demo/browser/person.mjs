// What the scripted person does with one intent: approve, deny, revoke.
import { addPasskey, arrive, isAt, keycloakSays, readPasskeys, shows, signIn, texts } from "./kit.mjs";
import { load, save, whileLocked } from "./store.mjs";

const SIGN_IN_FORM = "#kc-login";
const KEYCLOAK_ERROR = "#kc-error-message, #input-error";

/** Opens `url` and signs in where Keycloak asks for it. Returns where that led: one of `places`, or "refused". */
async function open(tab, url, person, places) {
  await tab.page.goto(url);
  const ways = { ...places, refused: shows(KEYCLOAK_ERROR) };
  const first = await arrive(tab, { signIn: shows(SIGN_IN_FORM), ...ways });
  if (first !== "signIn") return first;
  await signIn(tab, person.username, person.password);
  return arrive(tab, ways);
}

/** What the page shows, for a person or a test to read. */
export async function describe(tab) {
  const [state] = await texts(tab.page, "#intent-state");
  return { url: withoutCodes(tab.page.url()), status: tab.status(), title: await tab.page.title(), headings: await texts(tab.page, "h1"),
    ...(state === undefined ? {} : { state }), ...messageOf(await keycloakSays(tab.page)) };
}
function withoutCodes(address) {
  const url = new URL(address);
  for (const name of ["code", "state", "session_state"]) url.searchParams.delete(name);
  return url.href;
}
const messageOf = (message) => (message ? { message } : {});

/** The approval page of `intentId`, or whatever came instead. */
export async function openApproval(tab, marque, intentId, person) {
  const place = await open(tab, `${marque}/approve/${intentId}`, person, {
    page: shows("#marque-approval"), marque: isAt(marque) });
  if (place !== "page") return { place };
  const [words] = await texts(tab.page, "#plan-words");
  const lines = await tab.page.locator("#plan-lines li").allTextContents();
  return { place, lines, words };
}

const backAt = (marque) => ({ marque: isAt(marque), refused: shows(KEYCLOAK_ERROR) });

/** The one gesture, with the passkey stored in `file`; its new sign count is written back. */
export const approve = (tab, marque, file) => whileLocked(file, async () => {
  const credentials = load(file);
  for (const credential of credentials) await addPasskey(tab, credential);
  await tab.page.click("#marque-approve");
  try {
    return await arrive(tab, backAt(marque));
  } finally {
    if (credentials.length > 0) save(file, await readPasskeys(tab));
  }
});

export async function deny(tab, marque, reason) {
  await tab.page.fill("#marque-deny-reason", reason);
  await tab.page.click("#marque-deny");
  return arrive(tab, backAt(marque));
}

/** Opens the receipt of `intentId` and presses "Revoke now"; `tab.pressedAt` says when, for the story to measure from. */
export async function revoke(tab, marque, intentId, person) {
  const turnedAway = async (page) => tab.status() >= 400 && isAt(marque)(page);
  const place = await open(tab, `${marque}/receipt/${intentId}`, person, {
    button: shows("#marque-revoke"), state: shows("#intent-state"), turned_away: turnedAway });
  if (place !== "button") return place;
  tab.pressedAt = Date.now();
  await tab.page.click("#marque-revoke");
  return arrive(tab, {
    revoked: async (page) => (await texts(page, "#intent-state"))[0] === "revoked", turned_away: turnedAway });
}

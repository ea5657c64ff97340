// A headless browser with a virtual passkey authenticator, and the moves that Keycloak's pages ask for.
import { chromium } from "playwright-core";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const STEP_LIMIT_MS = 30_000;
const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const ARGUMENTS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

function browserProgram() {
  const candidates = (process.env.PATH ?? "").split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const isProgram = (path) => { try { accessSync(path, constants.X_OK); return true; } catch { return false; } };
  const found = candidates.find(isProgram);
  if (!found) throw new Error("no Chromium in PATH: run scripts/setup");
  return found;
}

/** A browser and a fresh context, without any cookie. */
export async function openBrowser() {
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : []; // Chromium's sandbox refuses root
  const browser = await chromium.launch({ executablePath: browserProgram(), args: [...ARGUMENTS, ...sandbox], timeout: STEP_LIMIT_MS });
  return { browser, context: await browser.newContext({ locale: "en-US" }) };
}

/**
 * A tab whose virtual authenticator answers each gesture, with no passkey in it yet.
 * With verified: false it cannot verify the user. tab.status() is the HTTP status of the page last opened, tab.headers() its headers.
 */
export async function openTab(context, { verified = true } = {}) {
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_LIMIT_MS);
  let last;
  page.on("response", (response) => {
    if (response.request().isNavigationRequest() && response.frame() === page.mainFrame()) last = response;
  });
  const cdp = await context.newCDPSession(page);
  await cdp.send("WebAuthn.enable", { enableUI: false });
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options: {
    protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
    isUserVerified: verified, automaticPresenceSimulation: true } });
  return { page, cdp, authenticatorId, status: () => last?.status() ?? 0, headers: () => last.headersArray() };
}

export const addPasskey = (tab, credential) =>
  tab.cdp.send("WebAuthn.addCredential", { authenticatorId: tab.authenticatorId, credential });

/** The output of WebAuthn.getCredentials. */
export const readPasskeys = (tab) => tab.cdp.send("WebAuthn.getCredentials", { authenticatorId: tab.authenticatorId });

/** Keycloak's sign-in form. The authenticator should hold no passkey yet: the form would offer it and sign in with it. */
export async function signIn(tab, username, password) {
  await tab.page.fill("#username", username);
  await tab.page.fill("#password", password);
  await tab.page.click("#kc-login");
}

/**
 * Waits until one of `places` is reached and returns its name; places = {name: (page) => true or false, maybe awaited}.
 * A navigation in between counts as "not yet".
 */
export async function arrive(tab, places) {
  const deadline = Date.now() + STEP_LIMIT_MS;
  while (Date.now() < deadline) {
    for (const [name, isThere] of Object.entries(places)) {
      if (await Promise.resolve(isThere(tab.page)).catch(() => false)) return name;
    }
    await pause(50);
  }
  throw new Error(`not at ${Object.keys(places).join(" or ")} after ${STEP_LIMIT_MS / 1000} s, but at ${tab.page.url()} (${await tab.page.title()})`);
}

export const shows = (selector) => (page) => page.locator(selector).first().isVisible();
export const isAt = (base) => async (page) =>
  new URL(page.url()).origin === new URL(base).origin && (await page.evaluate(() => document.readyState)) === "complete";

/** The text of every match, white space collapsed. */
export const texts = async (page, selector) =>
  (await page.locator(selector).allTextContents()).map((text) => text.replace(/\s+/g, " ").trim()).filter(Boolean);

/** Keycloak's own message on the page, if there is one. */
export const keycloakSays = async (page) =>
  (await texts(page, "#kc-error-message, #input-error, .pf-v5-c-alert__title, .kc-feedback-text")).join(" ");

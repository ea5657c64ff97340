// How a user registers a passkey at Keycloak.
import { arrive, keycloakSays, openBrowser, openTab, readPasskeys, shows, signIn } from "./kit.mjs";

// The account page never redeems the code, so nobody has to know the verifier behind this challenge.
const CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

function registrationUrl({ keycloak, realm }) {
  const url = new URL(`${keycloak}/realms/${realm}/protocol/openid-connect/auth`);
  url.search = new URLSearchParams({
    client_id: "account-console", response_type: "code", scope: "openid", redirect_uri: `${keycloak}/realms/${realm}/account/`,
    kc_action: "webauthn-register-passwordless", code_challenge: CHALLENGE, code_challenge_method: "S256" });
  return url.href;
}

/** Keycloak's page: one press, then a window.prompt for the label. */
async function press(tab, label) {
  tab.page.once("dialog", (dialog) => dialog.accept(label));
  await tab.page.waitForLoadState("load"); // the button's handler comes from a module script
  await tab.page.click("#registerWebAuthn");
}

const hasEnded = (status) => (page) => new URL(page.url()).searchParams.get("kc_action_status") === status;

/** One try; returns the output of WebAuthn.getCredentials. */
export async function register({ keycloak, realm, user, password }) {
  const { browser, context } = await openBrowser();
  try {
    const tab = await openTab(context);
    let last = "";
    tab.page.on("framenavigated", (frame) => {
      if (frame === tab.page.mainFrame() && frame.url().includes("kc_action_status=")) last = frame.url();
    });
    await tab.page.goto(registrationUrl({ keycloak, realm }));
    await signIn(tab, user, password);
    const place = await arrive(tab, { form: shows("#registerWebAuthn"), refused: shows("#kc-error-message, #input-error") });
    if (place === "refused") throw new Error(`Keycloak refused the sign-in: ${await keycloakSays(tab.page)}`);
    await press(tab, `${user}, scripted`);
    const ended = await arrive(tab, {
      success: () => last.includes("kc_action_status=success"), error: hasEnded("error"), cancelled: hasEnded("cancelled"),
      refused: shows("#kc-error-message, .pf-v5-c-alert.pf-m-danger") });
    if (ended !== "success") throw new Error(`registration ended as ${ended}: ${await keycloakSays(tab.page)}`);
    return await readPasskeys(tab);
  } finally {
    await browser.close();
  }
}

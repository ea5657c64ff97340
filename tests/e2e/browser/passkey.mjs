// A passkey in software: it signs whatever a test wants signed, with a key that Keycloak knows.
import { createHash, createPrivateKey, sign } from "node:crypto";

const PRESENT = 0x01, VERIFIED = 0x04, BACKUP_ELIGIBLE = 0x08, BACKED_UP = 0x10;
const sha256 = (bytes) => createHash("sha256").update(bytes).digest();
const url = (standard) => Buffer.from(standard, "base64").toString("base64url");

function flagsOf(credential, verified) {
  return PRESENT | (verified ? VERIFIED : 0) | (credential.backupEligibility ? BACKUP_ELIGIBLE : 0) | (credential.backupState ? BACKED_UP : 0);
}

/**
 * The fields of the approval page's form. `client` adds members to the client data or changes them;
 * credential is an entry of WebAuthn.getCredentials.
 */
export function assertion(credential, { challenge, origin, verified = true, client = {} }) {
  const data = Buffer.from(JSON.stringify({ type: "webauthn.get", challenge, origin, crossOrigin: false, ...client }));
  const counter = Buffer.alloc(4);
  counter.writeUInt32BE(credential.signCount);
  const authenticator = Buffer.concat([sha256(credential.rpId), Buffer.from([flagsOf(credential, verified)]), counter]);
  const key = createPrivateKey({ key: Buffer.from(credential.privateKey, "base64"), format: "der", type: "pkcs8" });
  const signature = sign("sha256", Buffer.concat([authenticator, sha256(data)]), key);
  return { clientDataJSON: data.toString("base64url"), authenticatorData: authenticator.toString("base64url"),
    signature: signature.toString("base64url"), credentialId: url(credential.credentialId), userHandle: url(credential.userHandle) };
}

// The stored passkey: a file with the output of CDP WebAuthn.getCredentials, used by one program at a time.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

const LOCK_LIMIT_MS = 120_000;

const isAlive = (id) => { try { process.kill(id, 0); return true; } catch (error) { return error.code === "EPERM"; } };

function tryLock(lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    return false;
  }
}

/** Removes the lock of a program that is gone. */
function removeStale(lock) {
  let holder;
  try { holder = Number(readFileSync(lock, "utf8")); } catch { return; }
  if (Number.isInteger(holder) && holder > 0 && !isAlive(holder)) rmSync(lock, { force: true });
}

/** Runs `body` while no other program uses `file`. */
export async function whileLocked(file, body) {
  const lock = `${file}.lock`;
  const deadline = Date.now() + LOCK_LIMIT_MS;
  while (!tryLock(lock)) {
    if (Date.now() > deadline) throw new Error(`${lock} was held for ${LOCK_LIMIT_MS / 1000} s`);
    removeStale(lock);
    await pause(100);
  }
  try { return await body(); } finally { rmSync(lock, { force: true }); }
}

/** The stored credentials; none where there is no file. */
export const load = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).credentials : []);

/** Replaces the file at one stroke. */
export function save(file, credentials) {
  writeFileSync(`${file}.new`, JSON.stringify(credentials, null, 1), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

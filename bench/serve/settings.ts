/** What the servers under test and the loads of `serve.ts` agree on. */
import { createHmac } from "node:crypto";

export const SECRET = "secret-of-the-measurement";
export const API_KEY = "key-of-the-measurement";
/** Publications that a channel of the namespace `history` keeps, and a topic of the raw server. */
export const HISTORY_SIZE = 100;

/** Returns a connection token (HS256) of a user, for an hour. */
export function tokenOf(user: string): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: user, exp: Math.floor(Date.now() / 1_000) + 3_600 };
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

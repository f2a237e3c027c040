/** Tokens of any kind, also wrong ones, and raw clients that end with their test. */
import { createHmac } from "node:crypto";
import { onTestFinished } from "vitest";
import { RawClient } from "../../support/raw-client.ts";
import { SECRET } from "../../support/server.ts";

export interface TokenKind {
  readonly alg?: string;
  readonly key?: string;
}

/** Signs claims by HMAC, whatever algorithm the token tells. */
export function token(claims: object, { alg = "HS256", key = SECRET }: TokenKind = {}): string {
  const signed = [{ alg }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${signed}.${alg === "none" ? "" : createHmac("sha256", key).update(signed).digest("base64url")}`;
}

export async function open(url: string): Promise<RawClient> {
  const client = await RawClient.open(url);
  onTestFinished(() => client.socket.terminate());
  return client;
}

/** Resolves with the reply to a command, or with the close code and its reason. */
export async function outcome(client: RawClient, command: object): Promise<unknown> {
  return Promise.race([client.call(command).catch(() => client.closed), client.closed]);
}

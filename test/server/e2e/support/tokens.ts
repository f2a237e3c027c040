/** Tokens that the servers of the tests accept. */
import { issueToken, type TokenRequest } from "../../../../src/server/auth/issue-token.ts";
import { parseConfig } from "../../../../src/server/config/load.ts";
import { INSECURE } from "../../support/server.ts";

const loaded = parseConfig(JSON.stringify(INSECURE), { file: "test.json", env: {} });
if (loaded.kind === "faults") throw new Error(JSON.stringify(loaded.faults));
const { token } = loaded.config.client;

export function tokenFor(request: TokenRequest): string {
  return issueToken(token, request);
}

/** Returns a Unix time in seconds. */
export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1_000) + seconds;
}

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { TokenVerifier } from "../../src/server/auth/token-verifier.ts";
import type { TokenKeys } from "../../src/server/config/config.ts";
import { parseConfig } from "../../src/server/config/load.ts";
import { type ProgramOptions, switchboardIn } from "./program.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const OTHER_SECRET = "fedcba9876543210fedcba9876543210";
const env = { SWITCHBOARD_CLIENT_TOKEN_HMAC_SECRET_KEY: SECRET };
const HOUR = 3600;

function keysOf(hmac_secret_key: string): TokenKeys {
  const loaded = parseConfig(JSON.stringify({ client: { token: { hmac_secret_key } } }));
  if (loaded.kind === "faults") throw new Error(loaded.faults[0]?.message);
  return loaded.config.client.token;
}

async function token(options: ProgramOptions, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await switchboardIn(options, "token", ...args).exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout.trimEnd();
}

it("makes a connection token that is valid for an hour, with the secret of the environment", async () => {
  const verified = await new TokenVerifier(keysOf(SECRET)).verifyConnection(await token({ env }, "--user", "42"));
  expect(verified).toMatchObject({ kind: "valid", claims: { user: "42" } });
  const later = (s: number): TokenVerifier => new TokenVerifier(keysOf(SECRET), () => Date.now() + s * 1000);
  const text = await token({ env }, "--user", "42");
  expect((await later(HOUR - 60).verifyConnection(text)).kind).toBe("valid");
  expect((await later(HOUR + 60).verifyConnection(text)).kind).toBe("expired");
});

it("makes a subscription token with the secret for subscriptions in the file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-cli-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const config = join(folder, "config.json");
  const client = {
    token: { hmac_secret_key: SECRET },
    subscription_token: { enabled: true, hmac_secret_key: OTHER_SECRET },
  };
  await writeFile(config, JSON.stringify({ client, http_api: { disabled: true } }));
  const text = await token({}, "--user", "42", "--channel", "$news", "--expires", "0", "--config", config);
  const inTenYears = new TokenVerifier(keysOf(OTHER_SECRET), () => Date.now() + 10 * 365 * 24 * HOUR * 1000);
  expect(await inTenYears.verifySubscription(text)).toMatchObject({
    kind: "valid",
    claims: { user: "42", channel: "$news" },
  });
});

it("tells all faults of the config, and shows no secret", async () => {
  const wrong = { ...env, SWITCHBOARD_SHARDS: "x", SWITCHBOARD_CLIENT_TOKEN_JWKS_PUBLIC_ENDPOINT: SECRET };
  expect(await switchboardIn({ env: wrong }, "token", "--user", "42").exit).toMatchObject({
    code: 1,
    stdout: "",
    stderr: `switchboard: the config has 2 faults:
SWITCHBOARD_CLIENT_TOKEN_JWKS_PUBLIC_ENDPOINT: client.token.jwks_public_endpoint: takes an http: or https: URL, such as "http://localhost:3000/x", not these 32 characters
SWITCHBOARD_SHARDS: shards: takes a whole number from 0 to 1024, not "x"
`,
  });
});

it("asks for a secret instead of making one", async () => {
  const { code, stderr } = await switchboardIn({}, "token", "--user", "42").exit;
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringContaining("there is no secret to make a token with"),
  });
});

it.each([
  [[], "token takes the id of a user, such as --user 42"],
  [["42"], "token takes no 42; write the user with --user"],
  [["--user", "42", "--expires", "1 hour"], '--expires takes a time such as 10m, 1h or 30d, not "1 hour"'],
  [["--user"], "Option '--user <value>' argument missing; switchboard token --help says more"],
])("refuses the arguments %j", async (args, sentence) => {
  const program = switchboardIn({ env }, "token", ...args);
  expect(await program.exit).toMatchObject({ code: 2, stdout: "", stderr: `switchboard: ${sentence}\n` });
});

/** The command `switchboard token`: makes a token for a client, with the secret of the config. */
import { issueToken } from "../server/auth/issue-token.ts";
import { parseDuration } from "../server/config/duration.ts";
import { loadGoodConfig } from "./load-config.ts";
import { parseFlags } from "./parse-flags.ts";
import { CommandError, UsageError } from "./usage-error.ts";

const HELP = `Usage: switchboard token --user USER [flags]

Prints a token for a client: for a connection, or with --channel for a subscription.

  --user USER       user id; "" is an anonymous user
  --channel NAME    make a token for a subscription to this channel
  --expires TIME    time for which the token is valid, such as 10m, 1h or 30d; 0: for ever (1h)
  --config FILE     config file with the secret; without it, the variable SWITCHBOARD_CLIENT_TOKEN_HMAC_SECRET_KEY
  --help            show this help

Exit code: 0 on success; 1 if there is no secret; 2 for invalid flags.
`;

const flags = {
  user: { type: "string" as const },
  channel: { type: "string" as const },
  expires: { type: "string" as const, default: "1h" },
  config: { type: "string" as const },
  help: { type: "boolean" as const },
};

/** Runs the command. Resolves with the exit code. */
export async function token(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseFlags("token", args, flags);
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (positionals.length > 0) throw new UsageError(`token takes no ${positionals[0]}; write the user with --user`);
  if (values.user === undefined) throw new UsageError("token takes the id of a user, such as --user 42");
  const exp = expiryOf(values.expires);
  const { config, generated } = await loadGoodConfig(values.config);
  if (generated.some(({ path }) => path === "client.token.hmac_secret_key")) {
    throw new CommandError(
      "there is no secret to make a token with: give the one of the server, with --config FILE or with the variable SWITCHBOARD_CLIENT_TOKEN_HMAC_SECRET_KEY",
    );
  }
  const { token, subscriptionToken } = config.client;
  const { channel, user } = values;
  const keys = channel === undefined ? token : (subscriptionToken ?? token);
  try {
    console.log(issueToken(keys, { user, channel, exp }));
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : String(error));
  }
  return 0;
}

/** Unix time in seconds at which the token expires; undefined: never. */
function expiryOf(text: string): number | undefined {
  const ms = parseDuration(text);
  if (ms === undefined)
    throw new UsageError(`--expires takes a time such as 10m, 1h or 30d, not ${JSON.stringify(text)}`);
  return ms === 0 ? undefined : Math.floor((Date.now() + ms) / 1000);
}

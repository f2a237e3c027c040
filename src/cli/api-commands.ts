/** The commands that ask a running server: `publish`, `channels`, `connections`, `info`. */
import { type ApiAddress, callApi, findApi, isRecord, printable } from "./api-client.ts";
import { parseFlags } from "./parse-flags.ts";
import { UsageError } from "./usage-error.ts";

const HELP = `Usage: switchboard publish CHANNEL DATA
       switchboard channels [PATTERN]
       switchboard connections [--user USER]
       switchboard info

Ask the HTTP API of a server that runs. DATA is JSON. PATTERN is a glob, such as "chat:*".

  --user USER    connections: only those of this user
  --url URL      address of the server (that of the config, else http://127.0.0.1:8000)
  --config FILE  config file with the key and the address; SWITCHBOARD_ variables count more
  --key KEY      key of the API. Others on this machine see it: better the variable SWITCHBOARD_HTTP_API_KEY
  --json         print the answer as JSON
  --help         show this help

Exit code: 0 on success; 1 if the server can't be reached or refuses; 2 for invalid flags.
`;

/** Number of connections of one page, and of all that are shown. */
const PAGE = 1000;
const MAX_CONNECTIONS = 10_000;

const flags = {
  url: { type: "string" as const },
  key: { type: "string" as const },
  config: { type: "string" as const },
  user: { type: "string" as const },
  json: { type: "boolean" as const, default: false },
  help: { type: "boolean" as const, default: false },
};

export type ApiCommand = "publish" | "channels" | "connections" | "info";

/** Runs a command. Resolves with the exit code. */
export async function apiCommand(command: ApiCommand, args: readonly string[]): Promise<number> {
  const { values, positionals } = parseFlags(command, args, flags);
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.user !== undefined && command !== "connections") throw new UsageError(`${command} has no flag --user`);
  const params = paramsOf(command, positionals, values.user);
  const api = await findApi(values);
  const result = command === "connections" ? await allConnections(api, params) : await callApi(api, command, params);
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : VIEWS[command](isRecord(result) ? result : {}));
  if (isRecord(result) && (result["is_cut"] === true || result["cursor"] !== undefined)) {
    process.stderr.write("switchboard: there are more than these\n");
  }
  return 0;
}

/** The connections of all pages, as one answer; with `cursor` if there are more than `MAX_CONNECTIONS`. */
async function allConnections(api: ApiAddress, params: object): Promise<Result> {
  const connections: Record<string, unknown> = {};
  let cursor: unknown;
  do {
    const page = await callApi(api, "connections", {
      ...params,
      limit: PAGE,
      ...(cursor === undefined ? {} : { cursor }),
    });
    if (!isRecord(page) || !isRecord(page["connections"])) break;
    Object.assign(connections, page["connections"]);
    cursor = page["cursor"];
  } while (cursor !== undefined && Object.keys(connections).length < MAX_CONNECTIONS);
  return { connections, ...(cursor === undefined ? {} : { cursor }) };
}

function paramsOf(command: ApiCommand, words: readonly string[], user: string | undefined): object {
  const most = { publish: 2, channels: 1, connections: 0, info: 0 }[command];
  if (words.length > most)
    throw new UsageError(`${command} takes no ${words[most]}; switchboard ${command} --help says more`);
  const [channel, data] = words;
  switch (command) {
    case "publish":
      if (channel === undefined || data === undefined) {
        throw new UsageError(`publish takes a channel and JSON, such as publish news '{"text":"hello"}'`);
      }
      return { channel, data: parseData(data) };
    case "channels":
      return channel === undefined ? {} : { pattern: channel };
    case "connections":
      return user === undefined ? {} : { user };
    case "info":
      return {};
  }
}

function parseData(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`publish takes JSON; for text, write '${JSON.stringify(text.slice(0, 60))}'`);
  }
}

type Result = Readonly<Record<string, unknown>>;

const VIEWS: Readonly<Record<ApiCommand, (result: Result) => string>> = {
  publish: ({ offset, epoch }) => {
    // Channels without history have no epoch.
    return !epoch ? "published\n" : `published with offset ${shown(offset)} of epoch ${shown(epoch)}\n`;
  },
  channels: ({ channels }) => {
    const rows = Object.entries(isRecord(channels) ? channels : {}).map(([channel, one]) => ({
      channel,
      clients: isRecord(one) ? one["num_clients"] : undefined,
    }));
    return table(
      rows.toSorted((one, other) => (one.channel < other.channel ? -1 : 1)),
      "no channel has a subscriber",
    );
  },
  connections: ({ connections }) => {
    const rows = Object.entries(isRecord(connections) ? connections : {}).map(([client, one]) => {
      const { user, transport, protocol, app_name, app_version, state } = isRecord(one) ? one : {};
      const channels = isRecord(state) && isRecord(state["channels"]) ? Object.keys(state["channels"]) : [];
      return { client, user, transport, protocol, app_name, app_version, channels };
    });
    return table(rows, "no client is connected");
  },
  info: ({ nodes }) => table(Array.isArray(nodes) ? nodes.filter(isRecord) : [], "no node answered"),
};

/** A table with a column for each field of the rows that holds something. */
function table(rows: readonly Result[], none: string): string {
  if (rows.length === 0) return `${none}\n`;
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = rows.map((row) => names.map((name) => shown(row[name])));
  const kept = names.map((_name, at) => at).filter((at) => cells.some((row) => row[at] !== ""));
  const all = [names, ...cells].map((row) => kept.map((at) => row[at] ?? ""));
  const widths = kept.map((_at, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  const lines = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.map(shown).join(" ");
  return printable(typeof value === "string" ? value : JSON.stringify(value));
}

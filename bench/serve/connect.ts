/** What it costs the server that a client connects and subscribes. Used by `serve.ts`. */
import type { ServerProcess } from "../server-process.ts";
import { type Commands, JSON_COMMANDS, openAll, PROTOBUF_COMMANDS, RawClient, subscribed } from "./client.ts";
import { measureVariants, type Settings, type Variant } from "./run.ts";
import { tokenOf } from "./settings.ts";

const AT_ONCE = 50;
const CHANNELS = 100;
const SETTLE_MS = 300;

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Connections stay open until the counted time is over. */
function connecting(
  { clients }: Settings,
  base: Omit<Variant, "run" | "after">,
  open: (index: number) => Promise<RawClient>,
): Variant {
  let opened: RawClient[] = [];
  return {
    ...base,
    async run() {
      opened = await openAll(clients, AT_ONCE, open);
      return clients;
    },
    async after() {
      for (const { socket } of opened) socket.destroy();
      opened = [];
      await delay(SETTLE_MS);
    },
  };
}

export async function measureConnect(
  servers: { readonly ours: ServerProcess; readonly raw: ServerProcess; readonly socketIo: ServerProcess | undefined },
  settings: Settings,
): Promise<void> {
  const { ours, raw, socketIo } = servers;
  const tokens = Array.from({ length: settings.clients }, (_, index) => tokenOf(`user-${index}`));
  const of = (index: number): string => `channel-${index % CHANNELS}`;
  const protocol = (name: string, commands: Commands, token: (index: number) => string): Variant =>
    connecting(
      settings,
      { name, server: ours, reference: "raw handshake", bar: "2" },
      async (index) => (await subscribed(ours.port, commands, of(index), token(index))).client,
    );
  const variants = [
    connecting(settings, { name: "raw handshake", server: raw }, () => RawClient.open(raw.port, "/")),
    connecting(settings, { name: "raw, subscribes", server: raw, reference: "raw handshake" }, async (index) => {
      const client = await RawClient.open(raw.port, `/${of(index)}`);
      await client.next();
      return client;
    }),
    protocol("JSON, no token", JSON_COMMANDS, () => ""),
    protocol("JSON, HS256 token", JSON_COMMANDS, (index) => tokens[index] ?? ""),
    protocol("Protobuf, HS256 token", PROTOBUF_COMMANDS, (index) => tokens[index] ?? ""),
  ];
  if (socketIo !== undefined) {
    variants.push(
      connecting(settings, { name: "Socket.IO", server: socketIo, reference: "JSON, no token" }, async (index) => {
        const client = await RawClient.open(socketIo.port, "/socket.io/?EIO=4&transport=websocket");
        await client.next();
        await client.ask("40");
        await client.ask(`420["join","${of(index)}"]`);
        return client;
      }),
    );
  }
  await measureVariants("Connect and subscribe", "client", variants, settings);
}

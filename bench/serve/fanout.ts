/** Fan-out: publications to many clients of the protocol, and the same bytes by a raw actor. Used by `serve.ts`. */
import type { ServerProcess } from "../server-process.ts";
import { type Commands, JSON_COMMANDS, openAll, PROTOBUF_COMMANDS, RawClient, subscribed } from "./client.ts";
import { measureVariants, type Settings, type Variant } from "./run.ts";

const DATA = JSON.stringify({ text: "what 64 bytes of a chat might look like" });
const AT_ONCE = 50;
/** A burst is of one message from each publisher, or from as many as there are messages. */
const PUBLISHERS = 16;

/** The subscribers of one variant, and who publishes to them. */
class Audience {
  readonly #publish: (count: number) => void;
  readonly #size: number;
  #frames = 0;
  #wanted = 0;
  #bytes = 0;
  #arrived: (() => void) | undefined;
  #payload: Buffer | undefined;

  constructor(clients: readonly RawClient[], publish: (count: number) => void) {
    this.#publish = publish;
    this.#size = clients.length;
    for (const client of clients) {
      client.received = (bytes, payload, end) => this.#received(bytes, payload, end);
    }
  }

  /** Publishes once. Resolves with the payload that the subscribers got. */
  async first(): Promise<Buffer> {
    this.#payload = undefined;
    await this.burst(1);
    if (this.#payload === undefined) throw new Error("nothing arrived");
    return this.#payload;
  }

  /** Publishes a number of messages at once. Resolves when all subscribers have all of them. */
  burst(count: number): Promise<void> {
    this.#frames = 0;
    this.#bytes = 0;
    this.#wanted = count * this.#size;
    return new Promise((resolve) => {
      this.#arrived = resolve;
      this.#publish(count);
    });
  }

  /** Publishes bursts for a time. Returns the number of deliveries. */
  async run(burst: number, seconds: number): Promise<number> {
    const until = performance.now() + seconds * 1_000;
    let deliveries = 0;
    while (performance.now() < until) {
      await this.burst(burst);
      deliveries += this.#wanted;
      const length = this.#payload?.length ?? 0;
      // Offsets and times may take a byte more or less.
      if (Math.abs(this.#bytes / this.#wanted - length) > 8) throw new Error("the payloads have a wrong length");
    }
    return deliveries;
  }

  #received(bytes: Buffer, payload: number, end: number): void {
    this.#payload ??= Buffer.from(bytes.subarray(payload, end));
    this.#bytes += end - payload;
    if (++this.#frames === this.#wanted) this.#arrived?.();
  }
}

async function protocolAudience(
  { port }: ServerProcess,
  commands: Commands,
  channel: string,
  clients: number,
): Promise<Audience> {
  const subscribers = await openAll(clients, AT_ONCE, async () => (await subscribed(port, commands, channel)).client);
  const publishers = await openAll(PUBLISHERS, AT_ONCE, async () => {
    const publisher = await RawClient.open(port, "/connection/websocket", commands.protocol);
    await publisher.ask(commands.connect(1, ""));
    return publisher;
  });
  return new Audience(subscribers, sendFrom(publishers, commands.publish(2, channel, DATA)));
}

async function rawAudience({ port }: ServerProcess, topic: string, payload: Buffer | string, clients: number) {
  const subscribers = await openAll(clients, AT_ONCE, async () => {
    const client = await RawClient.open(port, `/${topic}`);
    await client.next();
    return client;
  });
  const publishers = await openAll(PUBLISHERS, AT_ONCE, () =>
    RawClient.open(port, `/?to=${encodeURIComponent(topic)}`),
  );
  return new Audience(subscribers, sendFrom(publishers, payload));
}

async function socketIoAudience({ port }: ServerProcess, clients: number): Promise<Audience> {
  const open = async (): Promise<RawClient> => {
    const client = await RawClient.open(port, "/socket.io/?EIO=4&transport=websocket");
    await client.next();
    await client.ask("40");
    return client;
  };
  const subscribers = await openAll(clients, AT_ONCE, async () => {
    const client = await open();
    await client.ask('420["join","room"]');
    return client;
  });
  const publishers = await openAll(PUBLISHERS, AT_ONCE, open);
  return new Audience(subscribers, sendFrom(publishers, `42["publish","room",${DATA}]`));
}

function sendFrom(publishers: readonly RawClient[], message: string | Buffer): (count: number) => void {
  return (count) => {
    for (let index = 0; index < count; index++) publishers[index % publishers.length]?.send(message);
  };
}

export async function measureFanout(
  servers: { readonly ours: ServerProcess; readonly raw: ServerProcess; readonly socketIo: ServerProcess | undefined },
  settings: Settings,
): Promise<void> {
  const { clients, seconds } = settings;
  const audiences: { name: string; server: ServerProcess; audience: Audience; reference?: string; bar?: string }[] = [];
  for (const [channel, about] of [
    ["news-", "plain"],
    ["history:news-", "history"],
  ] as const) {
    for (const [codec, commands] of [
      ["JSON", JSON_COMMANDS],
      ["Protobuf", PROTOBUF_COMMANDS],
    ] as const) {
      const name = `${codec}, ${about}`;
      const audience = await protocolAudience(servers.ours, commands, `${channel}${codec}`, clients);
      const bytes = await audience.first();
      const payload = codec === "JSON" ? bytes.toString() : bytes;
      const raw = await rawAudience(servers.raw, `${channel}${codec}`, payload, clients);
      await raw.first();
      audiences.push({ name: `raw, bytes of ${name}`, server: servers.raw, audience: raw });
      audiences.push({ name, server: servers.ours, audience, reference: `raw, bytes of ${name}`, bar: "1.15" });
    }
  }
  if (servers.socketIo !== undefined) {
    const audience = await socketIoAudience(servers.socketIo, clients);
    await audience.first();
    audiences.push({ name: "Socket.IO", server: servers.socketIo, audience, reference: "JSON, plain" });
  }
  for (const burst of [1, 16]) {
    const variants: Variant[] = audiences.map(({ audience, ...rest }) => ({
      ...rest,
      run: () => audience.run(burst, seconds),
    }));
    await measureVariants(`Fan-out to ${clients}, ${burst} at once`, "delivery", variants, settings);
  }
}

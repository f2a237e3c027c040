import { Actor } from "../../../src/index.ts";
import { compileGlob } from "../../../src/server/channels/glob.ts";
import type { ControlAnswer, ControlQuestion } from "../../../src/server/client/control/control.ts";
import { DistinctCount } from "../../../src/server/client/control/distinct-count.ts";

/** Connections of this shard by their user. */
const clients = new Set<Client>();

/**
 * Stands in for the protocol's actor: the path is `/USER/CHANNEL`. Subscribes to the channel, passes on what it gets,
 * and answers control questions about its connections. Sends each control question to the connections that it concerns.
 */
export default class Client extends Actor {
  get user(): string {
    return this.params["user"] ?? "";
  }

  get channel(): string {
    return decodeURIComponent(this.params["channel"] ?? "");
  }

  override async opened(): Promise<void> {
    clients.add(this);
    const hasPresence = this.channel.startsWith("presence:");
    const info = { client: this.id, conn_info: { name: this.user } };
    await this.subscribe(this.channel, hasPresence ? { user: this.user, info } : {});
    this.send(`ready ${this.id}`);
  }

  override closed(): void {
    clients.delete(this);
  }
}

export function surveyed(question: ControlQuestion): ControlAnswer {
  const concerned = [...clients].filter((one) => concerns(question, one));
  switch (question.kind) {
    case "channels": {
      const matches = compileGlob(question.pattern);
      const counts = new Map<string, number>();
      for (const { channel } of clients) {
        if (matches?.(channel)) counts.set(channel, (counts.get(channel) ?? 0) + 1);
      }
      return { kind: "channels", channels: [...counts].slice(0, question.limit), isCut: counts.size > question.limit };
    }
    case "info": {
      const [users, channels] = [new DistinctCount(), new DistinctCount()];
      for (const one of clients) {
        users.add(one.user);
        channels.add(one.channel);
      }
      const bytes = { users: users.toBytes(), channels: channels.toBytes() };
      return { kind: "info", clients: clients.size, subscriptions: clients.size, ...bytes };
    }
    case "connections": {
      const all = concerned.map((one) => describe(one)).filter(({ client }) => client > question.after);
      all.sort((one, other) => (one.client < other.client ? -1 : 1));
      return { kind: "connections", clients: all.slice(0, question.limit), hasMore: all.length > question.limit };
    }
    default:
      if (question.kind === "unsubscribe" && question.channel === "fail") throw new Error("told to fail");
      for (const one of concerned) one.send(JSON.stringify(question));
      return { kind: question.kind, clients: concerned.length };
  }
}

function concerns(question: ControlQuestion, one: Client): boolean {
  if (!("user" in question || "client" in question || "session" in question)) return true;
  return (
    (question.user === undefined || question.user === one.user) &&
    (question.client === undefined || question.client === one.id)
  );
}

function describe(one: Client) {
  return {
    client: one.id,
    user: one.user,
    transport: "websocket",
    encoding: "json",
    name: "js",
    version: "1",
    channels: [one.channel],
    numChannels: 1,
    connectedAt: 5,
    remoteAddress: "127.0.0.1",
    address: one.address,
  } as const;
}

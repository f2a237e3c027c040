/** The official client, with both of its codecs, against replies of the server's codecs: no network between them. */
import { Centrifuge as JsonClient } from "centrifuge";
import { Centrifuge as ProtobufClient } from "centrifuge/build/protobuf";
import { afterEach, describe, expect, it } from "vitest";
import { DISCONNECTS } from "../../../src/server/protocol/codes.ts";
import { jsonCodec } from "../../../src/server/protocol/json/codec.ts";
import type { Codec, Command, Encoded } from "../../../src/server/protocol/messages.ts";
import { protobufCodec } from "../../../src/server/protocol/protobuf/codec.ts";
import { encodeStored } from "../../../src/server/protocol/stored-publication.ts";

const clients: (JsonClient | ProtobufClient)[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect();
});

type Answer = (command: Command) => Encoded | undefined;

/** Connects a client whose WebSocket is a class that hands each command to `answer`. */
function connect(codec: Codec, answer: Answer) {
  const received: Command[] = [];
  let socket: WebSocketOfTest | undefined;

  class WebSocketOfTest {
    onopen = () => {};
    onclose = (_event: object) => {};
    onmessage = (_event: { data: string | ArrayBuffer }) => {};

    constructor() {
      socket = this;
      queueMicrotask(() => this.onopen());
    }

    send(data: string | Uint8Array): void {
      const commands = codec.decode(Buffer.from(data as string));
      if (commands === undefined) throw new Error("the client sent a message that the server can't read");
      received.push(...commands);
      const replies = commands.map(answer).filter((reply) => reply !== undefined);
      if (replies.length > 0) queueMicrotask(() => this.receive(codec.join(replies)));
    }

    receive(data: Encoded): void {
      this.onmessage({ data: typeof data === "string" ? data : new Uint8Array(data).buffer });
    }

    close(): void {
      queueMicrotask(() => this.onclose({ code: 1000, reason: "" }));
    }
  }

  const options = { websocket: WebSocketOfTest, name: "js", version: "1", headers: { "X-Trace": "7" }, token: "t" };
  const Client = codec === jsonCodec ? JsonClient : ProtobufClient;
  const client = new Client("ws://localhost", options);
  clients.push(client);
  const sockets = () => {
    if (socket === undefined) throw new Error("the client opened no socket");
    return socket;
  };
  return { client, received, socket: sockets };
}

describe.each([jsonCodec, protobufCodec])("the official client in $name", (codec) => {
  const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
  const payload = (value: unknown) => (codec === jsonCodec ? value : bytes(value));
  const values = (data: unknown) => (data instanceof Uint8Array ? JSON.parse(Buffer.from(data).toString()) : data);

  const answer: Answer = ({ id, ...command }) => {
    switch (command.kind) {
      case "connect":
        return codec.encodeReply({
          id,
          kind: "connect",
          result: { client: "c1", version: "1", ping: 25, pong: true, data: bytes({ hello: 1 }) },
        });
      case "subscribe": {
        const publications = [{ data: bytes("missed"), offset: 2, tags: { a: "b" } }];
        const result = {
          recoverable: true,
          positioned: true,
          epoch: "e",
          offset: 1,
          recovered: true,
          publications,
          id: 5,
        };
        return codec.encodeReply({ id, kind: "subscribe", result: { ...result, was_recovering: true } });
      }
      case "rpc":
        return codec.encodeReply({ id, kind: "rpc", result: { data: command.request.data } });
      case "presence":
        return codec.encodeReply({
          id,
          kind: "presence",
          result: { presence: { c1: { user: "42", client: "c1", conn_info: bytes({ name: "A" }) } } },
        });
      case "history":
        return codec.encodeReply({
          id,
          kind: "history",
          result: { publications: [{ data: bytes(1), offset: 9 }], epoch: "e", offset: 9 },
        });
      case "publish":
        return codec.encodeReply({ id, kind: "error", error: { code: 103, message: "permission denied" } });
      default:
        return undefined;
    }
  };

  it("connects and subscribes in one frame, with what the server expects", async () => {
    const { client, received } = connect(codec, answer);
    const subscription = client.newSubscription("news", { recoverable: true, since: { offset: 1, epoch: "e" } });
    const connected = new Promise<{ data?: unknown }>((resolve) => client.on("connected", resolve));
    const publications: unknown[] = [];
    subscription.on("publication", ({ data, offset, tags }) => publications.push([values(data), offset, tags]));
    subscription.subscribe();
    client.connect();
    expect(values((await connected).data)).toEqual({ hello: 1 });
    await subscription.ready();
    expect(received).toMatchObject([
      { id: 1, kind: "connect", request: { token: "t", name: "js", version: "1", headers: { "X-Trace": "7" } } },
      { id: 2, kind: "subscribe", request: { channel: "news", recover: true, epoch: "e", offset: 1, flag: 1 } },
    ]);
    expect(publications).toEqual([["missed", 2, { a: "b" }]]);
  });

  // The Protobuf client compares ids as objects, and finds no subscription (5.8.0, wherever npm has installed `long`).
  const targets = codec === jsonCodec ? ["news", 5, 6] : ["news"];

  it(`gets publications and joins by name${codec === jsonCodec ? " and by id" : ""}`, async () => {
    const { client, socket } = connect(codec, answer);
    const subscription = client.newSubscription("news");
    const publications: unknown[] = [];
    subscription.on("publication", ({ data, offset, info }) => publications.push([values(data), offset, info?.user]));
    const joined = new Promise<{ info: { user: string } }>((resolve) => subscription.on("join", resolve));
    subscription.subscribe();
    client.connect();
    await subscription.ready();
    publications.length = 0;
    const info = { user: "42", client: "c2" };
    const stored = { type: "binary", bytes: encodeStored({ data: bytes({ a: 1 }), isJson: true, info }) } as const;
    for (const target of targets) {
      const result = codec.encodePublication(stored, target, 3);
      if (result.kind === "push") socket().receive(codec === jsonCodec ? result.push.text : result.push.bytes);
    }
    socket().receive(
      codec.encodePush({ kind: "join", channel: "news", id: codec === jsonCodec ? 5 : undefined, info }),
    );
    expect((await joined).info.user).toBe("42");
    // The subscription has the id 5, and no subscription has the id 6.
    const known = targets.filter((target) => target !== 6);
    expect(publications).toEqual(known.map(() => [{ a: 1 }, 3, "42"]));
  });

  it("gets the results and the errors of its commands", async () => {
    const { client, received } = connect(codec, answer);
    client.connect();
    await client.ready();
    expect(values((await client.rpc("m", payload({ b: 1.5 }))).data)).toEqual({ b: 1.5 });
    const { clients } = await client.presence("news");
    expect([clients["c1"]?.user, values(clients["c1"]?.connInfo)]).toEqual(["42", { name: "A" }]);
    const history = await client.history("news", { limit: -1, since: { offset: 3, epoch: "e" } });
    expect([history.offset, history.publications.map(({ data }) => values(data))]).toEqual([9, [1]]);
    await expect(client.publish("news", payload(1))).rejects.toMatchObject({ code: 103, message: "permission denied" });
    expect(received.at(-2)).toMatchObject({
      kind: "history",
      request: { limit: -1, since: { offset: 3, epoch: "e" } },
    });
    expect(received.at(-1)).toMatchObject({ kind: "publish", request: { channel: "news", data: bytes(1) } });
  });

  it("answers a ping with a pong", async () => {
    const { promise, resolve } = Promise.withResolvers<Command>();
    const { client, socket } = connect(codec, (command) => {
      if (command.kind === "pong") resolve(command);
      return answer(command);
    });
    client.connect();
    await client.ready();
    socket().receive(codec.ping);
    expect(await promise).toEqual({ id: 0, kind: "pong" });
  });

  it("ends for good after a terminal code with one of our reasons", async () => {
    const { client, socket } = connect(codec, answer);
    client.connect();
    await client.ready();
    const disconnected = new Promise<object>((resolve) => client.on("disconnected", resolve));
    const { code, reason } = DISCONNECTS.inappropriateProtocol;
    socket().onclose({ code, reason });
    expect(await disconnected).toMatchObject({ code: 3506, reason: "inappropriate protocol" });
  });
});

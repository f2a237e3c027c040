import { randomUUID } from "node:crypto";
import { Actor, type Message } from "../../../src/index.ts";
import type { EmulatedCommands, EmulationSession } from "../../../src/server/protocol/emulation.ts";
import { jsonCodec } from "../../../src/server/protocol/json/codec.ts";
import type { Command, Encoded } from "../../../src/server/protocol/messages.ts";
import { protobufCodec } from "../../../src/server/protocol/protobuf/codec.ts";

/**
 * As much of a client's actor as the tests of emulation need. The data of the connect result is what the actor knows of
 * its connection. RPC methods: `echo`, `close` (`{ code, reason }`), `pour` (`{ count, bytes }`), `text` (sends the
 * text as it is), `hang` and `exit`.
 */
export default class Emulated extends Actor<EmulationSession | undefined> {
  static override readonly requestHeaders = ["origin", "cookie", "host", "content-length", "sec-websocket-extensions"];

  readonly #secret = randomUUID();

  get #codec() {
    return this.protocol === "centrifuge-protobuf" ? protobufCodec : jsonCodec;
  }

  override received(message: Message): void | Promise<void> {
    return this.#handle(message.bytes);
  }

  override mailed(mail: EmulatedCommands): void | Promise<void> {
    if (mail.kind === "emulated" && mail.session === this.#secret) return this.#handle(Buffer.from(mail.data));
  }

  async #handle(bytes: Buffer): Promise<void> {
    const commands = this.#codec.decode(bytes);
    if (commands === undefined) return this.close(3501, "bad request");
    const replies: Encoded[] = [];
    for (const command of commands) {
      const reply = await this.#answer(command);
      if (reply !== undefined) replies.push(reply);
    }
    if (replies.length > 0) this.send(this.#codec.join(replies));
  }

  async #answer(command: Command): Promise<Encoded | undefined> {
    const { id } = command;
    if (command.kind === "connect") {
      const { url, headers, remoteAddress, clientAddress } = this.request;
      const { session, protocol } = this;
      const data = Buffer.from(JSON.stringify({ session, protocol, url, headers, remoteAddress, clientAddress }));
      const result = { client: this.id, version: "1", data, session: this.#secret, node: this.address };
      return this.#codec.encodeReply({ id, kind: "connect", result: { ...result, ping: 25, pong: true } });
    }
    if (command.kind !== "rpc") return undefined;
    const { method, data = Buffer.from("null") } = command.request;
    if (method === "echo") return this.#codec.encodeReply({ id, kind: "rpc", result: { data } });
    const order = JSON.parse(data.toString());
    if (method === "close") this.close(order.code, order.reason);
    if (method === "text") this.send(order);
    if (method === "pour") for (let i = 0; i < order.count; i++) this.send(`"${"x".repeat(order.bytes)}"`);
    if (method === "hang") await new Promise(() => {});
    if (method === "exit") process.exit();
    return undefined;
  }
}

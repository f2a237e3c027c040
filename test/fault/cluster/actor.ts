/** The actor of the boards of the cluster faults: subscribes, publishes and echoes as its client says. */
import { Actor, type Message } from "../../../src/index.ts";
import type { Position } from "../../../src/runtime/streams/position.ts";
import type { Publication } from "../../../src/runtime/streams/publication.ts";
import type { Answer, Order, Seen } from "./messages.ts";

const seenOf = ({ epoch, offset, message }: Publication): Seen => ({ epoch, offset, text: message.text });
const encode = (publication: Publication): string =>
  JSON.stringify({ kind: "publication", topic: publication.topic, ...seenOf(publication) } satisfies Answer);
const codeOf = (error: unknown): string => String((error as { code?: unknown }).code ?? error);

export default class ClusterActor extends Actor {
  override received({ text }: Message): void {
    const order = JSON.parse(text) as Order;
    // Not awaited: a handler that waits for Redis would hold up what the client sends next.
    if (order.kind === "subscribe") void this.#subscribe(order);
    else if (order.kind === "publish") void this.#publish(order.topic, order.text);
    else this.#answer({ ...order, now: Date.now() });
  }

  /** Half of the clients are told by a message; the others by the close frame that is the default. */
  override streamLost(topic: string, position: Position): void {
    if (this.request.query.has("told")) this.#answer({ kind: "lost", topic });
    else super.streamLost(topic, position);
  }

  async #subscribe({ topic, since, user }: Extract<Order, { kind: "subscribe" }>): Promise<void> {
    try {
      const { publications, position, ...result } = await this.subscribe(topic, { since, encode, user });
      if (position === undefined) throw new Error(`${topic} has no history`);
      this.#answer({ kind: "subscribed", topic, ...result, publications: publications.map(seenOf), position });
    } catch (error) {
      this.#answer({ kind: "refused", topic, code: codeOf(error) });
    }
  }

  async #publish(topic: string, text: string): Promise<void> {
    try {
      const stored = await this.publish(topic, text).stored;
      if (stored === undefined) throw new Error(`${topic} has no history`);
      this.#answer({ kind: "stored", text, position: stored.position });
    } catch (error) {
      this.#answer({ kind: "rejected", text, code: codeOf(error) });
    }
  }

  #answer(answer: Answer): void {
    this.send(JSON.stringify(answer));
  }
}

import {
  Actor,
  type Message,
  type PresenceEvent,
  type Publication,
  type SubscribeOptions,
} from "../../../src/index.ts";

const withOffset = ({ offset, message }: Publication): string => `${message.text} ${offset}`;

/** How the actor subscribes to each of its topics. */
export const TOPICS: Readonly<Record<string, SubscribeOptions>> = {
  "stream:raw": {},
  "stream:encoded": { encode: withOffset, user: "u", info: { a: 1 }, presenceChanges: true },
  "presence:raw": { presenceChanges: true },
  "presence:encoded": { encode: withOffset },
  plain: {},
};

/** Subscribes to topics of all kinds, and tells its peer of joins and leaves. Moves. */
export default class Streaming extends Actor {
  static override readonly moves = 1;

  override suspended(): unknown {
    return null;
  }

  override resumed(): Promise<void> | void {
    for (const topic of ["stream:encoded", "presence:encoded"]) {
      void this.subscribe(topic, { encode: withOffset });
    }
  }

  override async received(message: Message): Promise<void> {
    if (message.text !== "subscribe") return;
    await this.subscribeAll();
    this.send(`subscribed ${this.address}`);
  }

  protected async subscribeAll(): Promise<void> {
    for (const [topic, options] of Object.entries(TOPICS)) await this.subscribe(topic, options);
  }

  override presenceChanged(event: PresenceEvent): void {
    this.send(
      event.kind === "missed" ? `missed ${event.topic}` : `${event.kind} ${event.topic} ${event.member.address}`,
    );
  }

  override streamLost(topic: string): void {
    this.send(`lost ${topic}`);
  }
}

import { Actor, type Message, type Position, type Publication } from "../../../src/index.ts";

const encode = ({ epoch, offset, message }: Publication): string =>
  JSON.stringify({ kind: "publication", epoch, offset, text: message.text });

/**
 * Follows a topic from the position that the client gives, and says when it has lost its place. Topics of rooms have
 * history.
 */
export default class Resuming extends Actor {
  override async received({ text }: Message): Promise<void> {
    const { subscribe, since, publish, data } = JSON.parse(text);
    if (publish !== undefined) {
      this.publish(publish, data);
      return;
    }
    const { recovered, publications, position } = await this.subscribe(
      subscribe,
      subscribe.startsWith("room:") ? { since, encode } : {},
    );
    this.send(JSON.stringify({ kind: "subscribed", recovered, missed: publications.length, position }));
  }

  override streamLost(topic: string, position: Position): void {
    this.send(JSON.stringify({ kind: "lost", topic, position }));
  }
}

import Counting from "./counting.ts";

/** Number of topics with presence that each connection is subscribed to. */
const TOPICS = Number(process.env["ATTENDED_TOPICS"]);

/** A `Counting` actor that is a member of topics with history and presence. */
export default class Attending extends Counting {
  override async opened(): Promise<void> {
    const user = `user ${this.id}`;
    const subscribe = (_: unknown, topic: number) =>
      this.subscribe(`attended:${topic}`, { user, info: { name: user, room: `room ${topic}`, since: Date.now() } });
    await Promise.all(Array.from({ length: TOPICS }, subscribe));
  }

  /** Its client counts that as an error. */
  override streamLost(topic: string): void {
    this.close(4_000, `lost ${topic}`);
  }
}

import { Actor, type Message, type Position, type Publication } from "../../../src/index.ts";

const numbered = ({ topic, offset, message }: Publication): string => `${topic} ${offset} ${message.text}`;

/** Subscribes to the topics that its peer names, each after a position, and tells the peer what it gets. Moves. */
export default class Following extends Actor {
  static override readonly moves = 1;
  #topics: string[] = [];

  override suspended(): unknown {
    return this.#topics;
  }

  override resumed(topics: unknown): void {
    this.#topics = topics as string[];
    for (const topic of this.#topics) void this.subscribe(topic, { encode: numbered });
  }

  override async received({ text = "[]" }: Message): Promise<void> {
    const topics: readonly (readonly [topic: string, since: Position | null])[] = JSON.parse(text);
    await Promise.all(topics.map(([topic, since]) => this.#follow(topic, since ?? undefined)));
  }

  async #follow(topic: string, since: Position | undefined): Promise<void> {
    const { recovered, position, publications } = await this.subscribe(topic, { encode: numbered, since });
    this.#topics.push(topic);
    this.send(JSON.stringify({ topic, recovered, position, publications: publications.map(numbered) }));
  }

  override streamLost(topic: string): void {
    this.send(`lost ${topic}`);
  }
}

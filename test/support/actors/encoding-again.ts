import { Actor, type Message, type Publication } from "../../../src/index.ts";

const encode = ({ message }: Publication): string => `encoded ${message.text}`;

/**
 * Subscribes to the topics "kept", with history, and "plain" with an `encode`. Its peer says what `resumed` does:
 * "again", "since", "unsubscribe", "nothing" or "throw". Publishes every other text to both.
 */
export default class EncodingAgain extends Actor {
  static override readonly moves = 1;
  static override readonly supervision = { strategy: "resume" } as const;
  #plan = "nothing";

  override async opened(): Promise<void> {
    await Promise.all([this.subscribe("kept", { encode }), this.subscribe("plain", { encode })]);
    this.send("opened");
  }

  override suspended(): unknown {
    return this.#plan;
  }

  override async resumed(plan: string): Promise<void> {
    this.#plan = plan;
    if (plan === "throw") throw new Error("as the test wants");
    if (plan === "unsubscribe") for (const topic of ["kept", "plain"]) this.unsubscribe(topic);
    if (plan === "again") {
      const [{ position }] = await Promise.all([
        this.subscribe("kept", { encode }),
        this.subscribe("plain", { encode }),
      ]);
      this.send(JSON.stringify(position));
    }
    if (plan === "since") {
      const { top } = await this.history("kept", { limit: 0 });
      await this.subscribe("kept", { encode, since: top });
      await this.subscribe("plain", { encode });
    }
  }

  override async received({ text }: Message): Promise<void> {
    const [, plan] = /^plan (.*)/.exec(text) ?? [];
    if (plan !== undefined) this.#plan = plan;
    else {
      this.publish("plain", text, { self: true });
      await this.publish("kept", text).stored;
    }
    this.send("done");
  }
}

import { setImmediate as turn } from "node:timers/promises";
import { Actor, type Message, type SlowConsumerPolicy } from "../../../src/index.ts";

interface Command {
  readonly do: "policy" | "subscribe" | "publish" | "send" | "pour" | "echo";
  readonly policy?: SlowConsumerPolicy;
  readonly topics?: readonly string[];
  /** Number of the first message. Default: 0. */
  readonly from?: number;
  readonly count?: number;
  readonly bytes?: number;
}

/**
 * Sends and publishes as many messages as its peer asks for, `<topic> <number>` with padding, some in each turn.
 * Reports the outcomes: of publishes to its peer, of messages sent to the topic "log".
 */
export default class Flooding extends Actor {
  override async received(message: Message): Promise<void> {
    const command: Command = JSON.parse(message.text);
    const { topics = [], from = 0, count = 0, bytes = 0 } = command;
    const tally: Record<string, number> = {};
    const text = (topic: string, i: number): string => `${topic} ${i} `.padEnd(bytes, "x");
    switch (command.do) {
      case "policy":
        if (command.policy !== undefined) this.slowConsumerPolicy = command.policy;
        this.send(this.slowConsumerPolicy);
        return;
      case "subscribe":
        for (const topic of topics) await this.subscribe(topic);
        this.send("subscribed");
        return;
      case "publish":
        for (let i = 0; i < count; i++) {
          const result = this.publish(topics[i % topics.length] ?? "", text(topics[i % topics.length] ?? "", from + i));
          for (const [outcome, number] of Object.entries(result)) tally[outcome] = (tally[outcome] ?? 0) + number;
          if (i % 8 === 0) await turn();
        }
        this.send(JSON.stringify(tally));
        return;
      case "send":
        for (let i = 0; i < count; i++) {
          const result = this.send(text("sent", i));
          tally[result] = (tally[result] ?? 0) + 1;
          if (i % 8 === 0) await turn();
        }
        this.publish("log", JSON.stringify(tally));
        return;
      case "pour":
        // Sends as much as the peer takes, and never more.
        for (let i = 0; i < count; i++) {
          const result = this.send(text("poured", i));
          tally[result] = (tally[result] ?? 0) + 1;
          if (result === "closed") break;
          if (result !== "sent") await this.drained();
        }
        this.publish("log", JSON.stringify(tally));
        return;
      case "echo":
        this.send("echo");
    }
  }
}

import {
  Actor,
  type Message,
  type Position,
  type PresenceEvent,
  type Publication,
  type PublishOptions,
  type ReadHistoryOptions,
  type SlowConsumerPolicy,
  type SubscribeOptions,
  SwitchboardError,
} from "../../../src/index.ts";

interface Command {
  /** Number that the answer carries. */
  readonly serial: number;
  readonly do: string;
  readonly topic: string;
  /** Text to publish, or a wrong value in tests of bad input. */
  readonly data?: string;
  readonly since?: Position | "latest";
  readonly user?: string;
  readonly info?: unknown;
  readonly presenceChanges?: boolean;
  readonly brokenEncode?: boolean;
  readonly options?: PublishOptions & ReadHistoryOptions & SubscribeOptions;
  readonly policy?: SlowConsumerPolicy;
}

const shown = ({ epoch, offset, message }: Publication) => ({ epoch, offset, text: message.text });

const encode = (publication: Publication): string => JSON.stringify({ publication: shown(publication) });

function fail(): never {
  throw new Error("encode fails");
}

/**
 * Does with topics what its peer tells it, in JSON, and answers with the result or with the code of the error. Sends
 * each publication with its position, and what its handlers are told.
 */
export default class Remembering extends Actor {
  override async received({ text }: Message): Promise<void> {
    const command: Command = JSON.parse(text);
    const { serial } = command;
    try {
      this.send(JSON.stringify({ serial, result: await this.#do(command) }));
    } catch (error) {
      const { code, message } = error instanceof SwitchboardError ? error : { code: "none", message: String(error) };
      this.send(JSON.stringify({ serial, code, message }));
    }
  }

  override streamLost(topic: string, position: Position): void {
    this.send(JSON.stringify({ lost: { topic, position } }));
  }

  override presenceChanged(event: PresenceEvent): void {
    this.send(JSON.stringify({ presence: event }));
  }

  async #do(command: Command): Promise<unknown> {
    const { topic, data = "", since, user, info, presenceChanges, brokenEncode, options, policy } = command;
    switch (command.do) {
      case "who":
        return { shard: this.shard, address: this.address };
      case "subscribe": {
        const subscribed = await this.subscribe(topic, {
          since,
          encode: brokenEncode === true ? fail : encode,
          user,
          info,
          presenceChanges,
        });
        return { ...subscribed, publications: subscribed.publications.map(shown) };
      }
      case "subscribe with":
        return await this.subscribe(topic, options);
      case "enter":
        return await this.subscribe(topic, { user, info, presenceChanges });
      case "unsubscribe":
        return this.unsubscribe(topic);
      case "publish":
        return await this.publish(topic, data, options).stored;
      case "publish many":
        // The data says how many.
        return await Promise.all(
          Array.from({ length: Number(data) }, (_, i) => {
            // Some take the way of publishes with options.
            const key = i % 7 === 3 ? { idempotencyKey: `${this.address} ${i}` } : undefined;
            return this.publish(topic, `${this.address} ${i}`, key).stored;
          }),
        );
      case "history": {
        const { publications, top } = await this.history(topic, options);
        return { top, publications: publications.map(shown) };
      }
      case "remove":
        return await this.removeHistory(topic);
      case "presence":
        return await this.presence(topic);
      case "stats":
        return await this.presenceStats(topic);
      case "policy":
        if (policy !== undefined) this.slowConsumerPolicy = policy;
        return policy;
      case "exit":
        return process.exit(1);
      default:
        throw new Error(`there is no command ${command.do}`);
    }
  }
}

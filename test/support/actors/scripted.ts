import { Actor, type Message } from "../../../src/index.ts";

interface Command {
  readonly do: string;
  readonly topic?: string;
  readonly data?: string;
  readonly self?: boolean;
  readonly code?: number;
  readonly reason?: string;
  readonly ms?: number;
  readonly bytes?: number;
}

/**
 * Executes its peer's commands, in JSON, so that a test can reach every method of an actor. Publishes the results to
 * "log".
 */
export default class Scripted extends Actor<unknown> {
  override opened(): void {
    this.publish("log", `opened ${this.id}`);
  }

  override async received(message: Message): Promise<void> {
    const command: Command = JSON.parse(message.text);
    switch (command.do) {
      case "who":
        this.send(
          JSON.stringify({
            id: this.id,
            shard: this.shard,
            session: this.session,
            params: this.params,
            protocol: this.protocol,
          }),
        );
        return;
      case "subscribe":
        await this.subscribe(command.topic ?? "");
        this.send(`subscribed ${command.topic}`);
        return;
      case "unsubscribe":
        this.unsubscribe(command.topic ?? "");
        this.send(`unsubscribed ${command.topic}`);
        return;
      case "publish":
        this.publish(command.topic ?? "", command.data ?? "", { self: command.self ?? false });
        return;
      case "send":
        this.send(`result ${this.send(Buffer.alloc(command.bytes ?? 0))}`);
        return;
      case "wait":
        await new Promise((resolve) => setTimeout(resolve, command.ms));
        this.send(`waited ${command.ms}`);
        return;
      case "throw":
        throw new Error(command.reason ?? "thrown on demand");
      case "close":
        this.close(command.code, command.reason);
        return;
      case "exit":
        process.exit(command.code);
        break;
      case "block":
        for (const end = performance.now() + (command.ms ?? 0); performance.now() < end; );
        this.send(`blocked ${command.ms}`);
    }
  }

  override closed(code: number, reason: string): void {
    this.publish("log", `closed ${this.id} ${code} ${reason}`);
  }
}

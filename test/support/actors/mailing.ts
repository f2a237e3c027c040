import { Actor, type Address, type Message } from "../../../src/index.ts";

interface Command {
  readonly do: "address" | "tell" | "ask" | "close" | "exit" | "flood" | "hold";
  readonly to?: Address;
  readonly mail?: unknown;
  readonly timeoutMs?: number;
  readonly count?: number;
}

/**
 * Sends mail on its peer's orders, in JSON, and reports the outcome. Passes received mail to its peer, and answers with
 * the same mail. The mails "throw", "never" and "function" make it throw, never answer, or answer with a function.
 */
export default class Mailing extends Actor {
  override async received(message: Message): Promise<void> {
    const { do: what, to = this.address, mail, timeoutMs, count = 0 }: Command = JSON.parse(message.text);
    switch (what) {
      case "address":
        this.send(this.address);
        return;
      case "tell":
        this.send(JSON.stringify(await this.tell(to, mail)));
        return;
      case "flood": {
        const told = Array.from({ length: count }, (_, i) => this.tell(to, i));
        const statuses = (await Promise.all(told)).map(({ status }) => status);
        this.send(JSON.stringify(Object.fromEntries(statuses.map((status) => [status, countOf(statuses, status)]))));
        return;
      }
      case "ask":
        try {
          const answer = await this.ask(to, mail, timeoutMs === undefined ? {} : { timeoutMs });
          this.send(JSON.stringify({ answer }));
        } catch (error) {
          const { code, message: text } = error as Error & { code?: string };
          this.send(JSON.stringify({ code, text }));
        }
        return;
      case "hold":
        await new Promise(() => {});
        return;
      case "close":
        this.close(4000, "told to");
        return;
      case "exit":
        process.exit();
    }
  }

  override mailed(mail: unknown, from: Address | undefined): unknown {
    if (mail === "throw") throw new RangeError("mailed threw");
    if (mail === "never") return new Promise(() => {});
    if (mail === "function") return () => {};
    this.send(JSON.stringify({ mail, from }));
    return { re: mail, by: this.address };
  }
}

function countOf(all: readonly string[], one: string): number {
  return all.filter((status) => status === one).length;
}

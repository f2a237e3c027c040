/** Keeps its mail over all moves. `tell` makes it send numbered mail; `report` gives what it has got. */
import { Actor, type Address, type Message } from "../../../src/index.ts";

interface State {
  readonly got: string[];
}

export default class MovingMail extends Actor {
  static override readonly moves = 1;
  #got: string[] = [];

  override suspended(): State {
    return { got: this.#got };
  }

  override resumed({ got }: State): void {
    this.#got = got;
  }

  override mailed(value: unknown): unknown {
    const text = String(value);
    this.#got.push(text);
    return `${text} answered`;
  }

  override async received(message: Message): Promise<void> {
    const [verb, to, name, from, count] = message.text.split("|") as [string, Address, string, string, string];
    if (verb === "address") this.send(this.address);
    else if (verb === "report") this.send(JSON.stringify(this.#got));
    else {
      const numbers = Array.from({ length: Number(count) }, (_, index) => Number(from) + index);
      const results = await Promise.all(numbers.map((number) => this.tell(to, `${name} ${number}`)));
      this.send(JSON.stringify(results.filter(({ status }) => status !== "accepted")));
    }
  }
}

/**
 * Keeps its mail over all moves. `tell` makes it send numbered mail, `ask` numbered asks; each answers with what has
 * failed. `report` gives what the actor has got.
 */
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

  /** Resolves with undefined if all is well. */
  async #post(verb: string, to: Address, text: string): Promise<unknown> {
    if (verb === "ask") {
      const answer = await this.ask(to, text).catch((error: { code: string }) => error.code);
      return answer === `${text} answered` ? undefined : answer;
    }
    const { status } = await this.tell(to, text);
    return status === "accepted" ? undefined : { status };
  }

  override async received(message: Message): Promise<void> {
    const [verb, to, name, from, count] = message.text.split("|") as [string, Address, string, string, string];
    if (verb === "address") this.send(this.address);
    else if (verb === "report") this.send(JSON.stringify(this.#got));
    else {
      const numbers = Array.from({ length: Number(count) }, (_, index) => Number(from) + index);
      const failures = await Promise.all(numbers.map((number) => this.#post(verb, to, `${name} ${number}`)));
      this.send(JSON.stringify(failures.filter((failure) => failure !== undefined)));
    }
  }
}

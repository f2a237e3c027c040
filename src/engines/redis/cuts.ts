/**
 * Marks on the channels of Redis, for takeovers: all processes get them in line with what is published. The engine has
 * one.
 */
import type { EngineCuts, Waiting } from "../../runtime/streams/takeover.ts";
import { noop } from "../../wire/protocol/empty.ts";
import { unavailable } from "./failures.ts";
import type { Keys } from "./keys.ts";
import type { Link } from "./link/link.ts";
import type { Links } from "./link/links.ts";

export interface CutsOptions {
  readonly keys: Keys;
  readonly links: Links;
  /** Sends what has been gathered. */
  readonly flush: () => void;
  readonly answerFor: EngineCuts["answerFor"];
  /** Messages that waited were dropped, because there were too many. */
  readonly dropped: (count: number) => void;
}

/** A mark that comes once from each server. */
class ExpectedMark {
  readonly #missing: Set<Link>;
  readonly arrived = Promise.withResolvers<void>();

  constructor(links: Iterable<Link>) {
    this.#missing = new Set(links);
    this.arrived.promise.catch(noop);
  }

  arrivedAt(link: Link): void {
    this.#missing.delete(link);
    if (this.#missing.size === 0) this.arrived.resolve();
  }
}

/** The marks of a takeover. */
interface ExpectedMarks extends Readonly<Record<Waiting, ExpectedMark>> {
  readonly name: string;
}

/**
 * Redis executes one command after the other, and a link has one connection for all its channels. So a mark on one
 * channel of a server stands at the same place between all messages of that server, for every node that listens.
 */
export class Cuts implements EngineCuts {
  readonly #options: CutsOptions;
  #expected: ExpectedMarks | undefined;

  constructor(options: CutsOptions) {
    this.#options = options;
  }

  async expect(name: string): Promise<void> {
    this.end();
    const { keys, links } = this.#options;
    const all = links.all();
    const expected = { name, control: new ExpectedMark(all), topics: new ExpectedMark(all) };
    this.#expected = expected;
    const listening = all.map((link) => {
      const received = (bytes: Buffer): void => this.#arrivedAt(link, expected, bytes.toString());
      return link.listen(keys.mark(name, link.slotNumber), { received });
    });
    await Promise.all(listening);
  }

  async send(name: string, waiting: Waiting): Promise<void> {
    const { keys, links, flush } = this.#options;
    flush();
    await Promise.all(links.all().map((link) => link.publish(keys.mark(name, link.slotNumber), waiting)));
  }

  async arrived(waiting: Waiting): Promise<void> {
    await this.#expected?.[waiting].arrived.promise;
  }

  end(): void {
    const { keys, links, dropped } = this.#options;
    const expected = this.#expected;
    if (expected === undefined) return;
    this.#expected = undefined;
    const ended = unavailable("the takeover has ended");
    expected.control.arrived.reject(ended);
    expected.topics.arrived.reject(ended);
    let count = 0;
    for (const link of links.all()) {
      link.subscriptions.remove(keys.mark(expected.name, link.slotNumber));
      count += link.subscriptions.release();
    }
    if (count > 0) dropped(count);
  }

  answerFor(nodes: readonly string[]): Promise<void> {
    return this.#options.answerFor(nodes);
  }

  #arrivedAt(link: Link, expected: ExpectedMarks, waiting: string): void {
    if (this.#expected !== expected || (waiting !== "control" && waiting !== "topics")) return;
    link.subscriptions.hold(waiting);
    expected[waiting].arrivedAt(link);
  }
}

/**
 * The calls of scripts in a Redis Cluster. While a hash slot moves to another server, Redis says so instead of running
 * a script: such a call is sent again, in its order, until `timeoutMs` is over. Used by `ClusterLinks`.
 */
import type { SwitchboardError } from "../../../errors.ts";
import { failureOf, full, mayHaveRun, messageOf, refused, unavailable } from "../failures.ts";
import type { Script } from "../scripts/scripts.ts";
import type { CallOptions } from "./calls.ts";
import type { Reply } from "./connection.ts";
import type { Link } from "./link.ts";

/** Time between two attempts, in ms. */
const RETRY_MS = 50;
/** Number of calls that wait for one topic. */
const MAX_WAITING = 10_000;

export interface RedirectsOptions {
  /** The link to the server that has a key, by the map of slots. */
  readonly of: (key: string) => Link | undefined;
  /** The link to a server with a host and a port, as Redis names it. */
  readonly named: (name: string) => Link | undefined;
  /** Time after which a call is rejected that is still not run, in ms. */
  readonly timeoutMs: number;
}

interface Call {
  readonly script: Script;
  readonly keys: readonly string[];
  readonly args: readonly (string | Buffer)[];
  readonly options: CallOptions;
  /** Place in the order of the topic's calls. */
  readonly number: number;
  readonly since: number;
  /** Why Redis hasn't run the call the last time. */
  error: SwitchboardError | undefined;
  readonly answer: { resolve(reply: Reply): void; reject(error: Error): void };
}

/** The calls to the keys of one topic. */
interface TopicCalls {
  readonly key: string;
  inFlight: number;
  calls: number;
  /** Number of the newest call that Redis has run. */
  newest: number;
  /** Calls that Redis hasn't run, in their order. */
  failed: Call[];
  /** Calls that wait for those before them. */
  waiting: Call[];
  timer: NodeJS.Timeout | undefined;
}

export class Redirects {
  readonly #options: RedirectsOptions;
  /** Topics with calls, by the first key. */
  readonly #topics = new Map<string, TopicCalls>();

  constructor(options: RedirectsOptions) {
    this.#options = options;
  }

  /** Runs a script. Rejects with `ERR_ENGINE_UNAVAILABLE` or `ERR_ENGINE_FULL`. */
  run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    options: CallOptions = {},
  ): Promise<Reply> {
    const [key = ""] = keys;
    let topic = this.#topics.get(key);
    if (topic === undefined) {
      topic = { key, inFlight: 0, calls: 0, newest: 0, failed: [], waiting: [], timer: undefined };
      this.#topics.set(key, topic);
    }
    const { promise, ...answer } = Promise.withResolvers<Reply>();
    const number = ++topic.calls;
    const call: Call = { script, keys, args, options, number, since: performance.now(), error: undefined, answer };
    if (topic.failed.length + topic.waiting.length === 0) this.#send(topic, call);
    else if (topic.waiting.length < MAX_WAITING) topic.waiting.push(call);
    else answer.reject(full("too many calls wait until the topic's hash slot has moved: publish more slowly"));
    return promise;
  }

  stop(): void {
    for (const { timer, failed, waiting } of this.#topics.values()) {
      clearTimeout(timer);
      for (const { answer } of [...failed, ...waiting]) answer.reject(unavailable("the engine was stopped"));
    }
    this.#topics.clear();
  }

  #send(topic: TopicCalls, call: Call): void {
    // The map of slots may come from a server that hasn't heard of the move yet: the old owner of the slot knows
    // better.
    const [, word, name] = /^(ASK|MOVED) \d+ (\S+)/.exec(call.error === undefined ? "" : reasonOf(call.error)) ?? [];
    const other = name === undefined ? undefined : this.#options.named(name);
    const link = other ?? this.#options.of(topic.key);
    if (link === undefined) {
      this.#failed(topic, call, refused("no server of the cluster has the topic's hash slot now"));
      return;
    }
    topic.inFlight++;
    const { script, keys, args, options, answer } = call;
    link.calls.run(script, keys, args, { ...options, isAsking: other !== undefined && word === "ASK" }).then(
      (reply) => {
        topic.inFlight--;
        topic.newest = Math.max(topic.newest, call.number);
        answer.resolve(reply);
        this.#settled(topic);
      },
      (error: unknown) => {
        topic.inFlight--;
        this.#failed(topic, call, failureOf(error));
      },
    );
  }

  #failed(topic: TopicCalls, call: Call, error: SwitchboardError): void {
    // The server that a call was sent on to may still have to be connected to.
    const isMoving =
      /^(?:MOVED|ASK|TRYAGAIN)\b/.test(reasonOf(error)) || (call.error !== undefined && !mayHaveRun(error));
    if (isMoving && performance.now() - call.since < this.#options.timeoutMs) {
      call.error = error;
      topic.failed.push(call);
    } else {
      call.answer.reject(error);
    }
    this.#settled(topic);
  }

  /** Sends the failed calls again after a while, once all calls are answered: their order is known then. */
  #settled(topic: TopicCalls): void {
    if (topic.inFlight > 0 || topic.timer !== undefined) return;
    if (topic.failed.length > 0) {
      topic.timer = setTimeout(() => {
        topic.timer = undefined;
        topic.waiting.unshift(...topic.failed);
        topic.failed = [];
        this.#sendNext(topic);
      }, RETRY_MS);
    } else if (topic.waiting.length > 0) {
      this.#sendNext(topic);
    } else if (this.#topics.get(topic.key) === topic) {
      this.#topics.delete(topic.key);
    }
  }

  /** Sends one call that waits: the next one only when Redis has run it, since Redis may run a later one at once. */
  #sendNext(topic: TopicCalls): void {
    const call = topic.waiting.shift();
    // Redis has run a later one when this one failed for the first time: this one would come out of order.
    if (call?.error !== undefined && call.number < topic.newest) {
      call.answer.reject(call.error);
      this.#settled(topic);
    } else if (call !== undefined) {
      this.#send(topic, call);
    }
  }
}

/** Returns what Redis has said. */
function reasonOf({ cause }: Error): string {
  return cause === undefined ? "" : messageOf(cause);
}

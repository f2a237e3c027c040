/** Runs one random history of a channel against a server, beside the model. The test and its long run use it. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Encoding, payloadValue, type Raw, RawClient } from "./raw-client.ts";
import { type Answer, type Request, StreamModel, type StreamRules } from "./recovery-model.ts";
import type { TestServer } from "./server.ts";
import { API_KEY } from "./server.ts";

/** Publications that one subscriber may miss. */
const CAP = 6;
/** A publication expires before anybody could ask for it, or a moment later. */
const SHORT_TTL = "2ms";

/** The namespaces, and what the model is to know of them. */
const KINDS = {
  stream: { size: 4, mode: "stream", auto: false, cap: CAP },
  capped: { size: 12, mode: "stream", auto: false, cap: CAP },
  single: { size: 1, mode: "stream", auto: false, cap: CAP },
  cache: { size: 3, mode: "cache", auto: false, cap: CAP },
  auto: { size: 1, mode: "cache", auto: true, cap: CAP },
  short: { size: 8, mode: "stream", auto: false, cap: CAP },
  "short-cache": { size: 2, mode: "cache", auto: true, cap: CAP },
} as const satisfies Record<string, StreamRules>;

type Kind = keyof typeof KINDS;

export const RECOVERY_CONFIG = {
  client: { insecure: true, recovery_max_publication_limit: CAP },
  http_api: { key: API_KEY },
  channel: {
    namespaces: Object.entries(KINDS).map(([name, { size, mode, auto }]) => ({
      name,
      history_size: size,
      history_ttl: name.startsWith("short") ? SHORT_TTL : "300s",
      force_recovery: true,
      force_recovery_mode: mode,
      auto_cache_recover: auto,
    })),
  },
};

/** How a subscriber says where it is, from what it knows. */
const POSITIONS = ["own", "anyEpoch", "foreignEpoch", "past", "future", "farFuture", "zero"] as const;

type Step =
  | { readonly do: "publish"; readonly count: number }
  | { readonly do: "remove" | "expire" | "unsubscribe" | "drop" }
  | {
      readonly do: "subscribe";
      readonly recover: boolean;
      readonly rejects: boolean;
      readonly position: (typeof POSITIONS)[number];
      /** Number of publications that are under way at the same time. */
      readonly racing: number;
    };

export interface History {
  readonly kind: Kind;
  readonly encoding: Encoding;
  readonly steps: readonly Step[];
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("publish" as const), count: fc.integer({ min: 1, max: 9 }) }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...(["remove", "expire", "unsubscribe", "drop"] as const)).map((one) => ({ do: one })),
  },
  { weight: 2, arbitrary: fc.constantFrom(...(["unsubscribe", "drop"] as const)).map((one) => ({ do: one })) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("subscribe" as const),
      recover: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.constant(false)),
      rejects: fc.oneof({ weight: 2, arbitrary: fc.constant(false) }, fc.constant(true)),
      position: fc.oneof({ weight: 3, arbitrary: fc.constant("own" as const) }, fc.constantFrom(...POSITIONS)),
      racing: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 4 })),
    }),
  },
);

export const history: fc.Arbitrary<History> = fc.record({
  kind: fc.constantFrom(...(Object.keys(KINDS) as Kind[])),
  encoding: fc.constantFrom("json" as const, "protobuf" as const),
  steps: fc.array(step, { minLength: 1, maxLength: 14 }),
});

let channels = 0;

/** Runs a history in a channel of its own. Throws where the server and the model differ. */
export async function runHistory(server: TestServer, publisher: RawClient, history: History): Promise<void> {
  const run = new HistoryRun(server, publisher, history);
  try {
    for (const one of history.steps) await run.take(one);
    await run.finish();
  } finally {
    run.end();
  }
}

class HistoryRun {
  readonly #server: TestServer;
  readonly #publisher: RawClient;
  readonly #history: History;
  readonly #channel: string;
  readonly #model: StreamModel;
  /** The stream as it would be if nothing had been removed: a read may be given to others for 250 ms. */
  #stale: StreamModel | undefined;
  /** True after a read that others may be given. */
  #wasRead = false;
  #client: RawClient | undefined;
  #isSubscribed = false;
  /** Where the subscriber is, as an SDK keeps it. */
  #own: { epoch: string; offset: number } = { epoch: "", offset: 0 };

  constructor(server: TestServer, publisher: RawClient, history: History) {
    this.#server = server;
    this.#publisher = publisher;
    this.#history = history;
    this.#channel = `${history.kind}:${++channels}`;
    this.#model = new StreamModel(KINDS[history.kind]);
  }

  async take(one: Step): Promise<void> {
    switch (one.do) {
      case "publish":
        await this.#publish(one.count);
        return this.#getLive();
      case "subscribe":
        return this.#subscribe(one);
      case "remove":
        await this.#remove();
        return this.#empty();
      case "expire":
        return this.#expire();
      case "unsubscribe":
        if (this.#isSubscribed)
          assert.ok((await this.#call({ unsubscribe: { channel: this.#channel } }))["unsubscribe"]);
        this.#isSubscribed = false;
        return undefined;
      case "drop":
        this.#client?.socket.terminate();
        this.#client = undefined;
        this.#isSubscribed = false;
        return undefined;
    }
  }

  /** Whatever came twice or unasked stands before the publications of this one. */
  async finish(): Promise<void> {
    await this.#subscribe({ do: "subscribe", recover: true, rejects: false, position: "own", racing: 2 });
    await this.#publish(1);
    await this.#getLive();
    const reply = await this.#call({ history: { channel: this.#channel, limit: 0 } });
    assert.equal(Number(reply["history"].offset), this.#model.top);
    assert.deepEqual(this.#client?.pushes, [], "a publication came twice, or unasked");
  }

  end(): void {
    this.#client?.socket.terminate();
  }

  async #connected(): Promise<RawClient> {
    this.#client ??= await RawClient.connected(this.#server.ws, this.#history.encoding);
    return this.#client;
  }

  async #call(command: object): Promise<Raw> {
    return (await this.#connected()).call(command);
  }

  async #publish(count: number): Promise<void> {
    const first = this.#model.top + 1;
    this.#published(count);
    await this.#sendPublishes(first, count);
  }

  async #sendPublishes(first: number, count: number): Promise<void> {
    const replies = Array.from({ length: count }, (_, index) =>
      this.#publisher.call({ publish: { channel: this.#channel, data: first + index } }),
    );
    for (const reply of await Promise.all(replies)) assert.ok(reply["publish"], JSON.stringify(reply));
  }

  /** Takes the live publications that the subscriber must have: the next ones up to the top, in order, once each. */
  async #getLive(): Promise<void> {
    const client = this.#client;
    if (!this.#isSubscribed || client === undefined) return;
    while (this.#own.offset < this.#model.top) {
      await client.until(() => client.pushes.length > 0);
      const push = client.pushes.shift() as Raw;
      assert.equal(push["channel"], this.#channel);
      assert.ok(push["pub"], JSON.stringify(push));
      this.#isNext(push["pub"]);
    }
  }

  /** Each publication holds its own offset. */
  #isNext({ offset, data }: Raw): void {
    assert.equal(Number(offset), this.#own.offset + 1, "a hole or a repetition");
    assert.equal(payloadValue(this.#history.encoding, data), Number(offset));
    this.#own.offset++;
  }

  async #subscribe({ racing, ...step }: Extract<Step, { readonly do: "subscribe" }>): Promise<void> {
    const client = await this.#connected();
    const request = { ...this.#positionOf(step.position), recover: step.recover, rejects: step.rejects };
    const { recover, epoch, offset, rejects } = request;
    const command = { channel: this.#channel, recover, epoch, offset, flag: rejects ? 2 : 0 };
    const first = this.#model.top + 1;
    // The publishes may come before the subscription or after, each for itself.
    const [reply] = await Promise.all([client.call({ subscribe: command }), this.#sendPublishes(first, racing)]);
    const possible = this.#possibleModels(racing);
    this.#published(racing);
    this.#wasRead ||= recover && KINDS[this.#history.kind].mode === "stream";
    if (this.#isSubscribed) {
      assert.equal(reply["error"]?.code, 105);
    } else {
      this.#check(reply, request, possible);
    }
    await this.#getLive();
  }

  /** The streams that the subscription may have met: after each of the racing publishes, and expired or not. */
  #possibleModels(racing: number): StreamModel[] {
    const models: StreamModel[] = [];
    for (const start of this.#stale === undefined ? [this.#model] : [this.#model, this.#stale]) {
      const model = start.copy();
      models.push(model.copy());
      for (let sent = 0; sent < racing; sent++) {
        model.publish();
        models.push(model.copy());
      }
    }
    if (!this.#history.kind.startsWith("short")) return models;
    const emptied = models.map((one) => one.copy());
    for (const one of emptied) one.empty();
    return [...models, ...emptied];
  }

  #check(reply: Raw, request: Request, possible: readonly StreamModel[]): void {
    const { subscribe: result, error } = reply;
    if (result && this.#model.epoch === undefined) this.#learnEpoch(result.epoch, possible);
    const answers = possible.map((model) => model.subscribe(request));
    const got = this.#answerOf(reply, request);
    assert.ok(
      answers.some((answer) => isSame(answer, got)),
      `the server said ${JSON.stringify({ result, error })}, the model ${JSON.stringify(answers)} to ${JSON.stringify(request)}`,
    );
    if (got.kind === "rejected") return;
    assert.equal(result.epoch, this.#model.epoch);
    assert.ok(result.recoverable && result.positioned);
    assert.equal(Boolean(result.was_recovering), request.recover);
    this.#isSubscribed = true;
    this.#own = { epoch: result.epoch, offset: got.next - 1 };
  }

  #learnEpoch(epoch: string, possible: readonly StreamModel[]): void {
    assert.ok(epoch);
    for (const model of [this.#model, ...possible]) model.epoch = epoch;
    if (this.#stale !== undefined) this.#stale.epoch = epoch;
  }

  /** Reads the reply as an SDK does: it begins at the offset, and walks the publications. */
  #answerOf({ subscribe: result, error }: Raw, { recover, rejects }: Request): Answer {
    if (error) {
      assert.ok(error.code === 112 && rejects && recover, JSON.stringify(error));
      return { kind: "rejected" };
    }
    const publications: Raw[] = result.publications ?? [];
    const missed = publications.map(({ offset, data }) => {
      assert.equal(payloadValue(this.#history.encoding, data), Number(offset));
      return Number(offset);
    });
    const next = Math.max(Number(result.offset ?? 0), ...missed) + 1;
    return { kind: "subscribed", recovered: Boolean(result.recovered), missed, next };
  }

  #positionOf(position: (typeof POSITIONS)[number]): { readonly epoch: string; readonly offset: number } {
    const { epoch, offset } = this.#own;
    const known = epoch === "" ? (this.#model.epoch ?? "") : epoch;
    switch (position) {
      case "own":
        return { epoch, offset };
      case "anyEpoch":
        return { epoch: "", offset };
      case "foreignEpoch":
        return { epoch: "other", offset };
      case "past":
        return { epoch: known, offset: Math.max(offset - 1, 0) };
      case "future":
        return { epoch: known, offset: this.#model.top + 5 };
      case "farFuture":
        return { epoch: known, offset: Number.MAX_SAFE_INTEGER };
      case "zero":
        return { epoch: known, offset: 0 };
    }
  }

  async #remove(): Promise<void> {
    const response = await fetch(`${this.#server.url}/api/history_remove`, {
      method: "POST",
      headers: { "X-API-Key": API_KEY },
      body: JSON.stringify({ channel: this.#channel }),
    });
    assert.deepEqual(await response.json(), { result: {} });
  }

  /** Resolves once the publications have expired. Does nothing where they live long. */
  async #expire(): Promise<void> {
    if (!this.#history.kind.startsWith("short")) return;
    for (;;) {
      const { history } = await this.#publisher.call({ history: { channel: this.#channel, limit: 100 } });
      if ((history.publications ?? []).length === 0) return this.#empty();
    }
  }

  #published(count: number): void {
    for (const model of [this.#model, this.#stale]) {
      for (let sent = 0; sent < count; sent++) model?.publish();
    }
  }

  #empty(): void {
    this.#stale = this.#wasRead ? (this.#stale ?? this.#model.copy()) : undefined;
    this.#model.empty();
  }
}

function isSame(one: Answer, other: Answer): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/**
 * The choice who answers requests about streams and presence: the engine here, or the engine in the other process of a
 * takeover. `EngineHost` asks here. Without a takeover everything is answered here.
 */
import { reviveOurError, SwitchboardError } from "../../../errors.ts";
import { PendingReplies } from "../../../wire/transport/pending-replies.ts";
import type { ClientCall, StateAnswer, StateRequest } from "../messages.ts";
import type { StatePlace } from "./steps.ts";

/** The two ways in which a gate lets a request be answered. */
export interface StateGateOwner {
  /** Lets the engine here answer. */
  perform(request: StateRequest): Promise<StateAnswer>;
  /** Asks the other process, which answers by `passedBack`. */
  passOn(serial: number, request: StateRequest): void;
}

/** Time that the other process has to answer when the engine stops, in ms. The whole stop may take a second. */
const CLOSE_LIMIT_MS = 500;

interface Waiting {
  readonly request: StateRequest;
  readonly reply: PromiseWithResolvers<StateAnswer>;
}

/** The clients bound the number of waiting requests: each has a bound for all that is under way. */
export class StateGate {
  readonly #owner: StateGateOwner;
  #place: StatePlace = "here";
  #waiting: Waiting[] = [];
  /** Resolves when nothing waits for the other process. */
  #answered = Promise.withResolvers<void>();
  readonly #elsewhere = new PendingReplies<PromiseWithResolvers<StateAnswer>>();

  constructor(owner: StateGateOwner) {
    this.#owner = owner;
  }

  /** True while the engine here answers everything. */
  get isHere(): boolean {
    return this.#place === "here";
  }

  /** Resolves with the answer, from wherever it comes. Requests keep their order. Rejects with the engine's error. */
  do(request: StateRequest): Promise<StateAnswer> {
    if (this.#answersHere(request)) return this.#owner.perform(request);
    const reply = Promise.withResolvers<StateAnswer>();
    this.#handle({ request, reply });
    return reply.promise;
  }

  /** Everything that waits goes to the new place first. */
  set(place: StatePlace): void {
    this.#place = place;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) this.#handle(one);
  }

  /** The other process has answered. */
  passedBack(answered: Extract<ClientCall, { readonly kind: "passedBack" }>): void {
    const reply = this.#elsewhere.take(answered.serial);
    if ("error" in answered) reply?.reject(reviveOurError(answered.error));
    else reply?.resolve(answered.answer);
    if (this.#elsewhere.size === 0) this.#answered.resolve();
  }

  /** The engine stops. Resolves when the other process has answered everything, or doesn't answer in time. */
  async close(): Promise<void> {
    const error = new SwitchboardError("ERR_ENGINE_UNAVAILABLE", "the engine has stopped before it answered");
    for (const { reply } of this.#waiting.splice(0)) reply.reject(error);
    if (this.#elsewhere.size === 0) return;
    const limit = setTimeout(() => this.#answered.resolve(), CLOSE_LIMIT_MS);
    await this.#answered.promise;
    clearTimeout(limit);
    for (const reply of this.#elsewhere.takeAll()) reply.reject(error);
  }

  #answersHere({ kind }: StateRequest): boolean {
    if (this.#place === "hereReadOnly") return kind !== "publish" && kind !== "removeHistory";
    return this.#place === "here";
  }

  #handle(one: Waiting): void {
    const { request, reply } = one;
    if (this.#answersHere(request)) this.#owner.perform(request).then(reply.resolve, reply.reject);
    else if (this.#place === "nowhere" || this.#place === "hereReadOnly") this.#waiting.push(one);
    else this.#passOn(one);
  }

  #passOn({ request, reply }: Waiting): void {
    if (this.#elsewhere.size === 0) this.#answered = Promise.withResolvers();
    this.#owner.passOn(this.#elsewhere.add(reply), request);
  }
}

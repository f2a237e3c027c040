/** Checks whether wanted streams are where the engine says they are. `EngineHost` owns it. */
import type { FairScheduler, ScheduledTask } from "../../scheduling/fair-scheduler.ts";
import type { HostTopic } from "./host-topics.ts";

/** Checks that may wait for the engine at once. */
const MAX_UNDER_WAY = 256;
/** Time in which each wanted stream is checked once, in ms. */
const CHECK_EACH_MS = 30_000;
/** Time between two parts of the periodic check, in ms. */
const PART_MS = 1_000;

/** Each topic that is to be checked waits once. A check that fails is made again with the next part. */
export class TopChecks<Client> implements ScheduledTask {
  readonly #topics: ReadonlyMap<string, HostTopic<Client>>;
  readonly #checkTop: (topic: HostTopic<Client>) => Promise<void>;
  readonly #turns: FairScheduler;
  readonly #eachMs: number;
  readonly #timer: NodeJS.Timeout;
  readonly #waiting = new Set<HostTopic<Client>>();
  readonly #failed = new Set<HostTopic<Client>>();
  #underWay = 0;
  #isScheduled = false;
  /** Iterator over the topics; it also gives topics that are added later. */
  #iterator: Iterator<HostTopic<Client>>;
  /** Number of periodic checks that are due. */
  #due = 0;

  /**
   * @param topics all topics that are wanted
   * @param check reads the top of a topic and tells every client that wants the topic; rejects if the engine can't
   * @param eachMs time in which each wanted topic is checked once
   */
  constructor(
    topics: ReadonlyMap<string, HostTopic<Client>>,
    check: (topic: HostTopic<Client>) => Promise<void>,
    turns: FairScheduler,
    eachMs = CHECK_EACH_MS,
  ) {
    this.#topics = topics;
    this.#iterator = topics.values();
    this.#checkTop = check;
    this.#turns = turns;
    this.#eachMs = eachMs;
    this.#timer = setInterval(this.#addPart, Math.min(PART_MS, eachMs)).unref();
  }

  /** Checks a topic soon. */
  add(topic: HostTopic<Client>): void {
    this.#waiting.add(topic);
    this.#schedule();
  }

  /** Forgets a topic that isn't wanted any more. */
  delete(topic: HostTopic<Client>): void {
    this.#waiting.delete(topic);
    this.#failed.delete(topic);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#waiting.clear();
  }

  takeTurn(): void {
    this.#isScheduled = false;
    for (const topic of this.#waiting) {
      if (this.#underWay >= MAX_UNDER_WAY) return;
      if (this.#turns.over) break;
      this.#waiting.delete(topic);
      void this.#check(topic);
    }
    if (this.#waiting.size > 0) this.#schedule();
  }

  async #check(topic: HostTopic<Client>): Promise<void> {
    this.#underWay++;
    try {
      await this.#checkTop(topic);
    } catch {
      // The engine tells by itself that it is down. A topic that isn't wanted any more is not checked again.
      if (topic.interests.size > 0) this.#failed.add(topic);
    } finally {
      this.#underWay--;
      if (this.#waiting.size > 0) this.#schedule();
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#turns.add(this);
  }

  readonly #addPart = (): void => {
    for (const topic of this.#failed) this.add(topic);
    this.#failed.clear();
    this.#due += (this.#topics.size * Math.min(PART_MS, this.#eachMs)) / this.#eachMs;
    for (; this.#due >= 1; this.#due--) {
      const topic = this.#nextTopic();
      if (topic !== undefined) this.add(topic);
    }
  };

  /** Returns the next of all topics; after the last one the first again. */
  #nextTopic(): HostTopic<Client> | undefined {
    const next = this.#iterator.next();
    if (next.done !== true) return next.value;
    this.#iterator = this.#topics.values();
    return this.#iterator.next().value;
  }
}

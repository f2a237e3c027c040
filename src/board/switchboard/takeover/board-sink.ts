/** Takes everything that a board gets from another process. `BoardTakeover` has one `BoardSink`. */
import { SwitchboardError } from "../../../errors.ts";
import type { PassedPublish } from "../../../runtime/feeds/topics.ts";
import type { AnswerQuestion, MovingConnection, MovingListener, OtherProcess } from "../../takeover/messages.ts";
import type { TakeoverSink } from "../../takeover/successor.ts";
import type { TakeoverSettings } from "../options/takeover-options.ts";
import type { TakeoverParts } from "./board-source.ts";
import { EngineSink } from "./engine-sink.ts";
import type { BoardLuggage } from "./luggage.ts";
import { PassedIn } from "./passed-in.ts";
import { ProgramSink } from "./program/program-sink.ts";
import { StateSink } from "./state-sink.ts";
import { isTakeUpgrade, type TakeUpgradeQuestion } from "./upgrades-out.ts";

export interface BoardSinkOwner extends TakeoverParts {
  /** Takes what the main program of the other process has given; undefined if this program takes nothing. */
  readonly takeProgramState: TakeoverSettings["take"];
  /** The other process has agreed. Its listening sockets wait for the program's `listen`. */
  welcomed(): void;
  /** Waits for the next process. */
  awaitSuccessor(): Promise<void>;
  /** Takes a socket that came too late for the other process, which goes on with the socket if this rejects. */
  takeUpgrade(question: TakeUpgradeQuestion, sockets: readonly number[]): Promise<void>;
}

export class BoardSink implements TakeoverSink {
  readonly #owner: BoardSinkOwner;
  readonly #passedIn = new PassedIn();
  readonly #engine: EngineSink;
  readonly #state: StateSink;
  readonly #program: ProgramSink;
  #started: Promise<unknown> = Promise.resolve();

  /** @param format format in which the board's engine takes state */
  constructor(owner: BoardSinkOwner, format: string | undefined) {
    this.#owner = owner;
    this.#state = new StateSink(owner.hub.topics, format);
    this.#engine = new EngineSink(owner.hub);
    this.#program = new ProgramSink(owner.takeProgramState);
  }

  get moves(): TakeoverSink["moves"] {
    return this.#owner.pool.moves();
  }

  get shards(): number {
    return this.#owner.pool.shards;
  }

  get state(): TakeoverSink["state"] {
    return this.#state.format;
  }

  get takesProgramState(): boolean {
    return this.#program.isNeeded;
  }

  readonly answer: AnswerQuestion = (question, sockets) =>
    isTakeUpgrade(question) ? this.#owner.takeUpgrade(question, sockets) : this.#state.answer(question);

  async listen(listeners: readonly MovingListener[], other: OtherProcess): Promise<void> {
    const { intake, pool, hub, welcomed } = this.#owner;
    const claimed = intake.sockets.inherit(listeners);
    // Subscribers may be on their way to here.
    hub.topics.topics.hold();
    await Promise.all(pool.handles.map((shard) => shard.query({ kind: "holdPublishes" } as const)));
    await this.#state.await(other);
    welcomed();
    await claimed;
  }

  take(luggage: unknown): Promise<void> {
    const piece = luggage as BoardLuggage;
    switch (piece.kind) {
      case "state":
        return this.#state.take(piece.piece);
      case "stateComplete":
        return this.#state.complete();
      case "program":
        return this.#program.add(piece.piece);
      case "programComplete":
        return this.#program.complete();
      case "marks":
      case "topics":
      case "nodes":
        return this.#engine.take(piece);
    }
    // A newer version gives what this one doesn't know, and can do without.
    return Promise.resolve();
  }

  async adopt(connections: readonly MovingConnection[]): Promise<void> {
    const { handles } = this.#owner.pool;
    const all = Array.from(
      Map.groupBy(connections, ({ shard }) => shard),
      ([number, guests]) => {
        const shard = handles[number];
        if (shard === undefined) throw new SwitchboardError("ERR_TAKEOVER_LOST", `there is no shard ${number}`);
        return this.#passedIn.takeIn(shard, guests, false);
      },
    );
    await Promise.all(all);
  }

  published(publishes: readonly PassedPublish[]): void {
    for (const publish of publishes) this.#owner.hub.topics.topics.publishPassed(publish);
  }

  start(): void {
    const { intake } = this.#owner;
    const start = () =>
      this.#passedIn.start((shard, { clientKeys }) => {
        for (const clientKey of clientKeys) {
          shard.clientArrived(clientKey);
          intake.clientArrived(clientKey);
        }
      });
    this.#started = Promise.all([this.#started, this.#ready().then(start)]);
  }

  /** Resolves when the old process delivers nothing more, and the addresses of its connections lead to here. */
  async #ready(): Promise<void> {
    const { pool, hub } = this.#owner;
    await this.#engine.arrived();
    const { nodes } = this.#engine;
    if (nodes.length === 0) return;
    hub.answerFor(nodes);
    await Promise.all(pool.handles.map((shard) => shard.query({ kind: "answerFor", nodes } as const)));
    // The others hear of it before the old process leaves.
    await hub.topics.settled();
  }

  async finish(): Promise<void> {
    const { pool, intake, hub, awaitSuccessor } = this.#owner;
    await this.#started;
    await this.#engine.end();
    await this.#state.end();
    hub.topics.topics.release();
    await Promise.all(pool.handles.map((shard) => shard.query({ kind: "releasePublishes", forwards: false } as const)));
    await awaitSuccessor();
    await intake.sockets.inherited();
  }
}

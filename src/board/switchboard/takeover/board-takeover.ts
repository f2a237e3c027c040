/**
 * Takeovers of one board: from the process that listens at the path when the board starts, and later by another
 * process. `Switchboard` has one, with the option `takeover`.
 */
import { SwitchboardError } from "../../../errors.ts";
import type { PassedPublish } from "../../../runtime/feeds/topics.ts";
import { whyNoPassing } from "../../../wire/native/pass-descriptors.ts";
import type { Channel } from "../../../wire/passing/channel.ts";
import { connectChannel } from "../../../wire/passing/connect-channel.ts";
import { HandleChannel } from "../../../wire/passing/handle-channel.ts";
import { closePassed, holdsByNumber } from "../../../wire/passing/passed-sockets.ts";
import { findPredecessor, isSupervised, tellGives, tellGoesOn, tellHas } from "../../../wire/passing/supervised.ts";
import { CloseCode } from "../../../wire/protocol/close-code.ts";
import { canMoveSockets } from "../../../wire/transport/handoff.ts";
import type { LateUpgrade } from "../../accept/late-upgrade.ts";
import type { HandOverResult } from "../../takeover/predecessor.ts";
import { takeOver, Unanswered } from "../../takeover/successor.ts";
import { checkTakeoverPath } from "../../takeover/takeover-directory.ts";
import { TakeoverServer } from "../../takeover/takeover-server.ts";
import type { EventAnnouncer } from "../event-announcer.ts";
import type { SwitchboardEvents } from "../events.ts";
import type { CloseOptions } from "../options/close-options.ts";
import type { TakeoverSettings } from "../options/takeover-options.ts";
import { BoardSink } from "./board-sink.ts";
import { BoardSource, type TakeoverParts } from "./board-source.ts";
import { HAND_OVER } from "./limits.ts";
import { type TakeUpgradeQuestion, UpgradesOut } from "./upgrades-out.ts";

export interface BoardTakeoverOwner extends TakeoverParts {
  readonly events: EventAnnouncer;
  /** All connections are about to be stopped for another process. `successorFailed` or `handedOver` follows. */
  handingOver(): void;
  /** Closes this board: everything that could go is in another process, or the takeover from another has failed. */
  end(options: CloseOptions): void;
}

/** Time that the connections that couldn't go to another process have to close, in ms. */
const END_MS = 30_000;

/** Time in ms after which a board tries again to wait at the path. */
const WAIT_AGAIN_MS = 1_000;

/** Number of processes, one after the other, that may end before they answer. */
const MAX_UNANSWERED = 3;

/** Paths at which boards of this thread wait for another process, or are about to. */
const paths = new Set<string>();

/**
 * Throws if processes can't take over from each other here: `ERR_NO_FFI` and `ERR_TAKEOVER_DIRECTORY`, and `ERR_OPTION`
 * for a path that another board of this thread has.
 */
export function checkTakeover(path: string): void {
  const why = whyNoPassing();
  if (why !== undefined) checkSupervised(path, why);
  checkTakeoverPath(path);
  checkUnused(path);
}

/** Throws `ERR_OPTION` if another board of this thread has the path: the second one would take over from the first. */
function checkUnused(path: string): void {
  if (!paths.has(path)) return;
  const message = `start: another board of this process has the takeover path ${path}: give each board a path of its own, or start one board with all actors`;
  throw new SwitchboardError("ERR_OPTION", message);
}

/** Throws `ERR_NO_FFI` unless `switchboard run` passes sockets on, which needs no `node:ffi`. */
function checkSupervised(path: string, why: string): void {
  const isLinux = process.platform === "linux";
  if (isLinux && isSupervised(path) && canMoveSockets(process.versions.node)) return;
  const advice = isLinux ? "; or start the program by `switchboard run`, with Node 24.20 or newer" : "";
  throw new SwitchboardError("ERR_NO_FFI", `takeover can't work here: ${why}${advice}`);
}

export class BoardTakeover {
  readonly #path: string;
  readonly #program: Pick<TakeoverSettings, "give" | "take">;
  readonly #owner: BoardTakeoverOwner;
  #server: TakeoverServer | undefined;
  #isClosed = false;
  /** True while the path is this board's. */
  #hasPath = false;
  /** The takeover from or by another process. It never rejects. */
  #underWay: Promise<void> | undefined;
  /** Resolves when the process before publishes and asks nothing more. */
  #left: Promise<void> = Promise.resolve();
  /** Passes sockets on to the process that has taken over. */
  #upgradesOut: UpgradesOut | undefined;
  /** The way to the process that has taken over; undefined before a takeover. */
  #successor: Pick<Extract<HandOverResult, { readonly outcome: "handedOver" }>, "publish" | "leave"> | undefined;

  constructor({ path, ...program }: TakeoverSettings, owner: BoardTakeoverOwner) {
    this.#path = path;
    this.#program = program;
    this.#owner = owner;
  }

  /**
   * Begins the takeover from the process that listens at the path; without one, waits there for the next. Resolves when
   * the other process has agreed. A process that ends before it answers is as none. Rejects as `connectChannel` and
   * `takeOver` do.
   */
  async begin(): Promise<void> {
    checkUnused(this.#path);
    paths.add(this.#path);
    this.#hasPath = true;
    const format = await this.#owner.hub.topics.stateFormat();
    for (let attempt = 1; ; attempt++) {
      const channel = await this.#connect();
      if (channel === undefined) break;
      try {
        await this.#takeOver(channel, format);
        return;
      } catch (error) {
        if (!(error instanceof Unanswered) || attempt === MAX_UNANSWERED) throw error;
      }
    }
    // The process before may have ended since the supervisor started this one.
    if (isSupervised(this.#path)) tellHas(0, false);
    await this.#awaitSuccessor();
  }

  /** Resolves when the other process has agreed. Rejects as `takeOver` does. */
  async #takeOver(channel: Channel, format: string | undefined): Promise<void> {
    const startedAt = performance.now();
    const welcome = Promise.withResolvers<void>();
    let isWelcome = false;
    const owner = {
      ...this.#owner,
      welcomed: () => {
        isWelcome = true;
        welcome.resolve();
      },
      takeProgramState: this.#program.take,
      awaitSuccessor: () => this.#awaitOrTryAgain(),
      takeUpgrade: (question: TakeUpgradeQuestion, sockets: readonly number[]) => this.#takeUpgrade(question, sockets),
    };
    const sink = new BoardSink(owner, format);
    this.#underWay = takeOver(channel, sink).then(
      ({ left, ...result }) => {
        this.#left = left;
        if (isSupervised(this.#path)) tellHas(result.connections, !result.predecessorDied);
        const { unclaimed } = this.#owner.intake.sockets;
        this.#announce("takenOver", { ...result, unclaimed, ms: performance.now() - startedAt });
      },
      (error: Error) => {
        this.#owner.intake.sockets.disinherited(error);
        if (!isWelcome) return welcome.reject(error);
        this.#announce("takeoverFailed", error);
        this.#owner.end({ timeoutMs: 0 });
      },
    );
    await welcome.promise;
  }

  /** Resolves with the way to the process before; undefined if there is none. */
  async #connect(): Promise<Channel | undefined> {
    const session = isSupervised(this.#path) ? await findPredecessor() : undefined;
    if (session !== undefined) return new HandleChannel(session);
    return holdsByNumber() ? connectChannel(this.#path) : undefined;
  }

  /** An actor has published for subscribers that have gone to another process. */
  published(publish: PassedPublish): void {
    this.#successor?.publish([publish]);
  }

  /**
   * Resolves when no other process needs this board: the board passes on to its successor what the process before still
   * publishes and asks. Resolves at once for a board that hasn't handed over.
   */
  async unneeded(): Promise<void> {
    if (this.#successor !== undefined) await this.#left;
  }

  /** The board is closed, and needs the process that has taken over no more. */
  leave(): void {
    this.#successor?.leave();
  }

  /** Passes a socket on to the process that has taken over. The socket belongs to this function. */
  passOn(late: LateUpgrade): void {
    if (this.#upgradesOut === undefined) closePassed(late.descriptor);
    else this.#upgradesOut.pass(late);
  }

  /** True if another process has taken over, and gets the sockets that are passed on. */
  get hasHandedOver(): boolean {
    return this.#upgradesOut !== undefined;
  }

  /** Resolves when the process that has taken over has all sockets that were passed on. */
  async passedOn(): Promise<void> {
    await this.#upgradesOut?.settled();
  }

  /** Takes a socket that came too late for the process before, which goes on with the socket if this rejects. */
  async #takeUpgrade({ listener, bytes }: TakeUpgradeQuestion, [descriptor]: readonly number[]): Promise<void> {
    if (descriptor === undefined) throw new SwitchboardError("ERR_TAKEOVER_LOST", "an upgrade came without its socket");
    if (this.#upgradesOut !== undefined) this.#upgradesOut.pass({ descriptor, listener, bytes });
    else this.#owner.intake.sockets.adopt(descriptor, listener, bytes);
  }

  /**
   * The board closes: waits no longer for another process, and gives up a takeover for which the program hasn't
   * listened yet. Resolves when no takeover is under way.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#hasPath) paths.delete(this.#path);
    this.#hasPath = false;
    this.#server?.close();
    this.#owner.intake.sockets.renounce(new SwitchboardError("ERR_CLOSED", "this board is closed"));
    await this.#underWay;
  }

  /** Waits for the next process as soon as that can be. The connections are here, so a failure is none of theirs. */
  async #awaitOrTryAgain(): Promise<void> {
    try {
      await this.#awaitSuccessor();
    } catch (error) {
      // No process can take over now.
      this.#announce("takeoverUnavailable", error as Error);
      setTimeout(() => void this.#awaitOrTryAgain(), WAIT_AGAIN_MS).unref();
    }
  }

  async #awaitSuccessor(): Promise<void> {
    if (this.#isClosed) return;
    const { pool, intake, hub } = this.#owner;
    const format = await hub.topics.stateFormat();
    let successor = 0;
    const suspending = (): void => {
      if (isSupervised(this.#path)) tellGives(successor);
      this.#owner.handingOver();
    };
    const left = (error: Error): void => this.#announce("programStateLeft", error);
    const program = { give: this.#program.give, left };
    const source = new BoardSource({ pool, intake, hub, suspending, program }, format);
    let startedAt = performance.now();
    let over = Promise.withResolvers<void>();
    this.#server = await TakeoverServer.listen(this.#path, {
      source,
      settings: HAND_OVER,
      begun: (pid) => {
        successor = pid;
        startedAt = performance.now();
        over = Promise.withResolvers();
        this.#underWay = over.promise;
      },
      ended: (result) => {
        over.resolve();
        void this.#ended(result, source, startedAt);
      },
    });
  }

  async #ended(result: HandOverResult, source: BoardSource, startedAt: number): Promise<void> {
    const { pid } = result;
    if (result.outcome !== "handedOver") {
      const wasRefused = result.outcome === "refused";
      if (!wasRefused && isSupervised(this.#path)) tellGoesOn(result.connections);
      const lost = wasRefused ? 0 : result.connections;
      this.#announce("successorFailed", { pid, error: result.error, wasRefused, lost });
      return;
    }
    const { connections, isSilent } = result;
    const { pauseMs } = source;
    const { events, intake } = this.#owner;
    this.#upgradesOut = new UpgradesOut(result.other, intake.counters, events.handshakeFailed);
    this.#successor = result;
    const left = await source.handedOver((publish) => this.published(publish));
    if (left !== undefined && left.topics > 0) events.historyLeft(left);
    this.#announce("handedOver", { pid, connections, isSilent, pauseMs, ms: performance.now() - startedAt });
    this.#owner.end({ code: CloseCode.serviceRestart, timeoutMs: END_MS });
  }

  #announce<Name extends keyof SwitchboardEvents>(name: Name, detail: SwitchboardEvents[Name][0] & object): void {
    this.#owner.events.announce(name, detail);
  }
}

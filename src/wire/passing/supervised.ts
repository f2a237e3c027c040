/**
 * The end of the channel to `switchboard run` in a process of its program: finds the process before, waits for the next
 * one, and carries the parts of their sessions. The main thread of a board with the option `takeover` uses it.
 */
import { isMainThread } from "node:worker_threads";
import { SwitchboardError } from "../../errors.ts";
import type { TcpHandle } from "../node-internals/net.ts";
import { noop } from "../protocol/empty.ts";
import { CONNECT_TIMEOUT_MS } from "./first-bytes.ts";
import type { PostPart } from "./part-queue.ts";
import { holdsByNumber } from "./passed-sockets.ts";
import {
  asSupervisorMessage,
  type ChannelPart,
  SUPERVISOR_VARIABLE,
  type SupervisorMessage,
  supervisorName,
} from "./supervisor-messages.ts";

/** A session with another process. */
export interface Session {
  readonly session: number;
  readonly pid: number;
}

/** The receiver of the parts of one session. */
export interface SessionReceiver {
  part(part: ChannelPart, handle: TcpHandle | undefined): void;
  /** The supervisor has ended: no part arrives any more. */
  lost(): void;
}

/**
 * Time between two looks whether the supervisor has ended, in ms. Node tells of its end only when no handle is under
 * way.
 */
const LOOK_MS = 100;

const sessions = new Map<number, SessionReceiver>();
/** Calls that wait for the answer to "finds", in order. */
const finding: ((session: Session | undefined) => void)[] = [];
let succeeded: ((session: Session) => void) | undefined;
let listens = false;
let looking: NodeJS.Timeout | undefined;
/** Sessions and questions for which the process stays alive. */
let holders = 0;

/** True if `switchboard run` has given this process that path for takeovers, and passes messages and sockets on. */
export function isSupervised(path: string): boolean {
  if (path !== process.env["SWITCHBOARD_TAKEOVER"] || !isMainThread || process.connected !== true) return false;
  return process.env[SUPERVISOR_VARIABLE] === supervisorName(process.ppid);
}

/**
 * Asks for the process to take over from. Resolves with undefined if there is none, or none that needs the supervisor.
 * Rejects with `ERR_TAKEOVER_TIMEOUT` if the supervisor doesn't answer within 5 s.
 */
export async function findPredecessor(): Promise<Session | undefined> {
  listen();
  hold();
  const { promise, resolve, reject } = Promise.withResolvers<Session | undefined>();
  finding.push(resolve);
  const timer = setTimeout(() => {
    const message = `switchboard run didn't answer within ${CONNECT_TIMEOUT_MS} ms`;
    reject(new SwitchboardError("ERR_TAKEOVER_TIMEOUT", message));
  }, CONNECT_TIMEOUT_MS);
  post({ switchboard: "finds", holdsByNumber: holdsByNumber() });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    letGo();
  }
}

/** Tells the supervisor that this process waits for a successor. Returns a function that ends the wait. */
export function awaitSuccessor(callback: (session: Session) => void): () => void {
  listen();
  succeeded = callback;
  post({ switchboard: "awaits", holdsByNumber: holdsByNumber() });
  return () => {
    // Another board of this process may wait by now.
    if (succeeded !== callback) return;
    succeeded = undefined;
    post({ switchboard: "rests" });
  };
}

/** Tells the supervisor that everybody is about to be stopped for another process, which may have some from now on. */
export function tellGives(pid: number): void {
  post({ switchboard: "gives", pid });
}

/** Tells the supervisor how many connections this process has taken over, and whether these are all that could come. */
export function tellHas(connections: number, isComplete: boolean): void {
  post({ switchboard: "has", connections, isComplete });
}

/**
 * Tells the supervisor that another process has failed to take over, and how many connections ended with that process.
 */
export function tellGoesOn(lost: number): void {
  post({ switchboard: "goesOn", lost });
}

/** Takes the parts of a session. The process stays alive until `letGo`. */
export function join(session: number, receiver: SessionReceiver): void {
  sessions.set(session, receiver);
  hold();
  looking ??= setInterval(lookForSupervisor, LOOK_MS).unref();
}

export function leave(session: number): void {
  sessions.delete(session);
  if (sessions.size > 0) return;
  clearInterval(looking);
  looking = undefined;
}

/** Returns what sends the parts of a session. */
export function partsOf(session: number): PostPart {
  return (part, handle, sent) => post({ switchboard: "part", session, part }, handle, sent);
}

function hold(): void {
  if (holders++ === 0) process.channel?.ref();
}

/** The process may end for all that a session, or a question, is concerned. */
export function letGo(): void {
  if (--holders === 0) process.channel?.unref();
}

function post(message: SupervisorMessage, handle?: TcpHandle, sent: (error: Error | null) => void = noop): void {
  // Node takes a bare handle and leaves it open. Its types know sockets and servers only.
  process.send?.(message, handle as unknown as undefined, {}, sent);
}

function listen(): void {
  if (listens) return;
  listens = true;
  process.on("message", (message: unknown, handle: unknown) => {
    const ours = asSupervisorMessage(message);
    if (ours !== undefined) received(ours, handle as TcpHandle | undefined);
  });
  process.once("disconnect", supervisorEnded);
  if (holders === 0) process.channel?.unref();
}

function lookForSupervisor(): void {
  if (process.connected !== true) supervisorEnded();
}

function supervisorEnded(): void {
  for (const resolve of finding.splice(0)) resolve(undefined);
  for (const receiver of [...sessions.values()]) receiver.lost();
}

function received(message: SupervisorMessage, handle: TcpHandle | undefined): void {
  switch (message.switchboard) {
    case "found": {
      const { session, pid } = message;
      finding.shift()?.(session === undefined ? undefined : { session, pid });
      return;
    }
    case "successor":
      if (succeeded === undefined) partsOf(message.session)({ kind: "closed" }, undefined, noop);
      else succeeded(message);
      return;
    case "part": {
      const receiver = sessions.get(message.session);
      if (receiver === undefined) handle?.close();
      else receiver.part(message.part, handle);
    }
  }
}

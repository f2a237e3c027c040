/**
 * Answers the main thread's questions to a shard, each by the part that it concerns. `Shard` has one `QueryResponder`.
 */
import type { Transferable } from "node:worker_threads";
import { reportError, SwitchboardError } from "../../errors.ts";
import type { PassedPublish } from "../../runtime/feeds/topics.ts";
import { transferable } from "../../wire/node-internals/net.ts";
import type { ActorName } from "../connection/connection-host.ts";
import type { ActorModules } from "./actor-module.ts";
import type { ConnectionRegistry } from "./connection-registry.ts";
import type { ShardReport } from "./messages.ts";
import type { PassOutQuery } from "./moving/messages.ts";
import type { Mover } from "./moving/mover.ts";
import type { Stayers } from "./moving/stayers.ts";
import { answerTakeover, type TakeoverShard } from "./moving/takeover-queries.ts";
import { isTakeoverQuery, type QueryAnswers, type ShardPage, type ShardQuery, type SurveyOutcome } from "./queries.ts";

type Answer = QueryAnswers[ShardQuery["kind"]];

/** The parts of a shard that know the answers. */
export interface RespondingShard extends TakeoverShard {
  readonly connections: ConnectionRegistry;
  /** Resolves when the actor modules are loaded. */
  readonly loaded: Promise<ActorModules>;
  readonly mover: Mover;
  readonly stayers: Stayers;
  report(report: ShardReport, transfer?: Transferable[]): void;
}

export class QueryResponder {
  readonly #shard: RespondingShard;

  constructor(shard: RespondingShard) {
    this.#shard = shard;
  }

  /** Reports the answer to a query: within this call where no part has to wait. */
  respond(serial: number, query: ShardQuery): void {
    const { mover } = this.#shard;
    const post = (answer: Answer): void => {
      mover.flushReports();
      this.#shard.report({ kind: "queryAnswered", serial, answer });
    };
    if (query.kind === "passOut") {
      this.#giveUp(serial, query);
      return;
    }
    const answer = this.#answer(query);
    if (!(answer instanceof Promise)) post(answer);
    else if (query.kind !== "survey") void answer.then(post);
    else void answer.then(post).catch((cause) => post(notCloneable(cause)));
  }

  #answer(query: Exclude<ShardQuery, PassOutQuery>): Answer | Promise<Answer> {
    const { connections, loaded, mail, mover, stayers } = this.#shard;
    if (isTakeoverQuery(query)) return answerTakeover(query, this.#shard, this.#published);
    switch (query.kind) {
      case "list":
        return page(connections, query.after, query.limit);
      case "disconnect":
        return connections.get(query.address)?.startClosing(query.code, query.reason) ?? false;
      case "survey":
        return survey(loaded, query.actor, query.question);
      case "move":
        return mover.move(query);
      case "closeStayers":
        return stayers.close(query.settings);
      case "emptied":
        return stayers.emptied();
      case "succeed":
        return mail.succeed(query.shard, query.life).then(() => true);
    }
  }

  /** Reports connections that leave the process. Those whose handles can't be moved to the main thread go on here. */
  #giveUp(serial: number, query: PassOutQuery): void {
    const { mover, passing, report } = this.#shard;
    const answer = passing.giveUp(query);
    const handles = answer.flatMap(({ socket }) => ("handle" in socket ? [socket.handle] : []));
    mover.flushReports();
    report({ kind: "queryAnswered", serial, answer }, handles.map(transferable));
    // Without a descriptor for the move Node posts nothing, throws nothing, and leaves the handles open.
    if (!handles.some(({ fd = -1 }) => fd >= 0)) return;
    passing.takeBack(answer);
    report({ kind: "queryAnswered", serial, answer: [] });
  }

  readonly #published = (publish: PassedPublish): void => this.#shard.report({ kind: "published", publish });
}

function page(registry: ConnectionRegistry, after: number, limit: number): ShardPage {
  const entries = registry.page(after, limit);
  const connections = entries.map(({ connection, openedAt }) => ({ ...connection.describe(), openedAt }));
  return { connections, last: entries.at(-1)?.serial ?? after };
}

/** Asks an actor module. Never rejects. */
async function survey(loaded: Promise<ActorModules>, actor: ActorName, question: unknown): Promise<SurveyOutcome> {
  try {
    const surveyed = (await loaded).get(actor)?.surveyed;
    if (surveyed === undefined) {
      const message = `the actor module ${actor ?? "of the option actor"} exports no function surveyed`;
      throw new SwitchboardError("ERR_NO_SURVEYED", message);
    }
    return { kind: "answered", answer: await surveyed(question) };
  } catch (error) {
    return surveyFailed(error);
  }
}

function surveyFailed(error: unknown): SurveyOutcome {
  return { kind: "failed", error: reportError(error) };
}

function notCloneable(cause: unknown): SurveyOutcome {
  const message = "surveyed must return plain data, without functions or class instances";
  return surveyFailed(new SwitchboardError("ERR_MAIL_NOT_CLONEABLE", message, { cause }));
}

/** Surveys of all shards: `board.survey`. `Cluster` puts those of all nodes together. */
import { reviveError, SwitchboardError } from "../../errors.ts";
import { integer, MAX_INT32 } from "../../wire/handshake/option-check.ts";
import type { ActorName } from "../connection/connection-host.ts";
import type { SurveyOutcome } from "../shard/queries.ts";
import { actorName } from "./options/listen-options.ts";
import { check } from "./options/option-validation.ts";

export interface SurveyOptions {
  /** Name of the actor module that answers, of the option `actors` of `start`. Default: the module `actor`. */
  readonly actor?: string;
  /** Time that all shards and nodes have to answer, in ms. Default: 5,000. */
  readonly timeoutMs?: number;
  /** True to ask only the shards of this node. Default: false. */
  readonly isLocal?: boolean;
}

/** The answer of one shard to a survey, or the reason why there is none. */
export type SurveyAnswer =
  | { readonly node: string; readonly shard: number; readonly kind: "answered"; readonly answer: unknown }
  | {
      readonly node: string;
      /** Number of the shard; undefined if the whole node has failed to answer. */
      readonly shard: number | undefined;
      readonly kind: "failed";
      /**
       * The error that `surveyed` threw; `ERR_SHARD_UNRESPONSIVE`, `ERR_SHARD_LOST`, `ERR_NODE_UNRESPONSIVE`,
       * `ERR_NODE_GONE` or `ERR_ENGINE_UNAVAILABLE` if no answer came; `ERR_NO_SURVEYED` if the actor module exports no
       * such function; `ERR_MAIL_NOT_CLONEABLE` and `ERR_MAIL_TOO_LARGE` if the answer can't be sent.
       */
      readonly error: Error;
    };

/** A survey of the shards of one node. */
export interface Survey {
  readonly actor: ActorName;
  readonly question: unknown;
  readonly timeoutMs: number;
  readonly isLocal: boolean;
}

/** Throws `ERR_OPTION` for options of `board.survey` that are unknown or out of range. Fills in the defaults. */
export function checkSurveyOptions(options: SurveyOptions, actors: readonly string[]): Omit<Survey, "question"> {
  check("survey", options, ["actor", "timeoutMs", "isLocal"], [], {
    actor: actorName(actors),
    timeoutMs: integer(1, MAX_INT32),
  });
  return { actor: options.actor, timeoutMs: options.timeoutMs ?? 5_000, isLocal: options.isLocal ?? false };
}

/** Asks one shard. Resolves with undefined if the shard ends first. */
type AskShard = (shard: number, survey: Survey) => Promise<SurveyOutcome | undefined>;

/** Asks all shards of this node at the same time. Resolves with their answers in the order of the shards. */
export function surveyShards(node: string, shards: number, survey: Survey, ask: AskShard): Promise<SurveyAnswer[]> {
  const answers = Array.from({ length: shards }, async (_, shard): Promise<SurveyAnswer> => {
    try {
      const outcome = await ask(shard, survey);
      if (outcome?.kind === "answered") return { node, shard, ...outcome };
      if (outcome !== undefined) return { node, shard, kind: "failed", error: reviveError(outcome.error) };
      const message = `shard ${shard} ended before it answered, or isn't running`;
      return { node, shard, kind: "failed", error: new SwitchboardError("ERR_SHARD_LOST", message) };
    } catch (error) {
      return { node, shard, kind: "failed", error: error as Error };
    }
  });
  return Promise.all(answers);
}

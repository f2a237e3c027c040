/** Answers the questions of the main thread in a takeover. `Shard` calls it. */
import type { PassedPublish } from "../../../runtime/feeds/topics.ts";
import type { MailRouter } from "../../../runtime/mail/mail-router.ts";
import type { QueryAnswers, TakeoverQuery } from "../queries.ts";
import type { ShardTopics } from "../shard-topics.ts";
import type { SocketIntake } from "../socket-intake.ts";
import type { PassOutQuery } from "./messages.ts";
import type { Passing } from "./passing.ts";

/** The parts of a shard that a takeover concerns. */
export interface TakeoverShard {
  readonly passing: Passing;
  readonly topics: ShardTopics;
  readonly intake: SocketIntake;
  readonly mail: MailRouter;
}

/** @param published gets publishes for subscribers that have gone to another process */
export async function answerTakeover(
  query: Exclude<TakeoverQuery, PassOutQuery>,
  { passing, topics, intake, mail }: TakeoverShard,
  published: (publish: PassedPublish) => void,
): Promise<QueryAnswers[TakeoverQuery["kind"]]> {
  const { standstill } = passing;
  switch (query.kind) {
    case "calm":
      return standstill.calm(query);
    case "standStill":
      return standstill.standStill(query);
    case "suspendAll":
      return standstill.suspendAll(query);
    case "resumeAll":
      passing.lending.end();
      standstill.resumeAll();
      return true;
    case "lend":
      return passing.lending.lend(query);
    case "passIn":
      return passing.takeIn(query);
    case "passHandles":
      passing.takeHandles(query);
      return true;
    case "startPassed":
      return passing.start();
    case "answerFor":
      mail.nodes.answerFor(query.nodes);
      return true;
    case "stopAccepting":
      await intake.stopAccepting(query.limitMs);
      return true;
    case "releaseUpgrades":
      intake.releaseUpgrades(query.phase);
      return true;
    case "holdPublishes":
      topics.topics.hold();
      return true;
    case "releasePublishes":
      topics.topics.release(query.forwards ? published : undefined);
      return true;
    case "settle":
      await topics.settled();
      return true;
  }
}

/** The answers of a node's shards to a survey, in the form in which they go to the node that asked. */
import { type ErrorReport, reportError, reviveOurError, SwitchboardError } from "../../../errors.ts";
import { MAX_MAIL_BYTES, packMail, unpackMail } from "../../../runtime/mail/packed-mail.ts";
import type { SurveyAnswer } from "../survey.ts";
import { MAX_BASE64_LENGTH, type PackedAnswer } from "./messages.ts";

/** Number of characters of the message of an error. */
const MAX_ERROR_LENGTH = 400;
/** Number of characters, in JSON, of an answer that is too large and of what surrounds an answer. */
const RESERVED_LENGTH = 256;

/**
 * Packs answers. An answer with more than 1 MiB, and one that no longer fits into the message of about 3 MiB beside
 * those of the shards before, becomes a failure with `ERR_MAIL_TOO_LARGE`.
 */
export function packAnswers(answers: readonly SurveyAnswer[]): PackedAnswer[] {
  const packed = answers.map(pack);
  const failures = packed.filter(({ error }) => error !== undefined);
  let room = MAX_BASE64_LENGTH - packed.length * RESERVED_LENGTH - JSON.stringify(failures).length;
  return packed.map((one): PackedAnswer => {
    if (one.answer === undefined) return one;
    if (one.answer.length > room) return { shard: one.shard, error: cutError(tooLarge()) };
    room -= one.answer.length;
    return one;
  });
}

function pack(one: SurveyAnswer): PackedAnswer {
  // The shards of a node always have numbers.
  const shard = one.shard ?? 0;
  if (one.kind === "failed") return { shard, error: cutError(one.error) };
  try {
    return { shard, answer: Buffer.from(packMail(one.answer)).toString("base64") };
  } catch (error) {
    return { shard, error: cutError(error) };
  }
}

/** Returns the answers of a node; undefined for what no node has sent. Never throws. */
export function unpackAnswers(node: string, packed: readonly PackedAnswer[]): SurveyAnswer[] | undefined {
  try {
    return packed.map(({ shard, answer, error }): SurveyAnswer => {
      if (error !== undefined) return { node, shard, kind: "failed", error: reviveOurError(error) };
      return { node, shard, kind: "answered", answer: unpackMail(Buffer.from(answer ?? "", "base64")) };
    });
  } catch {
    return undefined;
  }
}

function cutError(error: unknown): ErrorReport {
  const { name, message, code } = reportError(error);
  const cut = { name: name.slice(0, 64), message: message.slice(0, MAX_ERROR_LENGTH), code: code?.slice(0, 64) };
  return { ...cut, stack: undefined };
}

function tooLarge(): SwitchboardError {
  const message = `an answer to another node may have ${MAX_MAIL_BYTES} bytes, and all answers of a node about 3 MiB`;
  return new SwitchboardError("ERR_MAIL_TOO_LARGE", message);
}

/** The protocol as JSON: one object a line. */
import type { Codec } from "../messages.ts";
import { decodeCommands } from "./decode.ts";
import { encodePush, encodeReply } from "./encode.ts";
import { encodePublicationPush } from "./publication-push.ts";

export const jsonCodec: Codec = {
  name: "json",
  decode: decodeCommands,
  encodeReply,
  encodePush,
  ping: "{}",
  join: (parts) => parts.join("\n"),
  encodePublication: encodePublicationPush,
};

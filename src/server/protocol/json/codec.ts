/** The protocol as JSON: one object a line. */
import type { Codec } from "../messages.ts";
import { decodeCommands } from "./decode.ts";
import { decodeEmulation } from "./emulation.ts";
import { encodePush, encodeReply } from "./encode.ts";
import { encodePublicationPush } from "./publication-push.ts";

export const jsonCodec: Codec = {
  name: "json",
  decode: decodeCommands,
  decodeEmulation,
  encodeReply,
  encodePush,
  ping: "{}",
  join: (parts) => parts.join("\n"),
  encodePublication: encodePublicationPush,
};

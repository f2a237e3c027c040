/** The protocol as JSON: one object a line. */
import type { Codec } from "../messages.ts";
import { decodeCommands } from "./decode.ts";
import { decodeEmulation } from "./emulation.ts";
import { canEncodePush, canEncodeReply, encodePush, encodeReply } from "./encode.ts";
import { encodePublicationPush } from "./publication-push.ts";

export const jsonCodec: Codec = {
  name: "json",
  decode: decodeCommands,
  decodeEmulation,
  canEncodeReply,
  canEncodePush,
  encodeReply,
  encodePush,
  ping: "{}",
  join: (parts) => parts.join("\n"),
  encodePublication: encodePublicationPush,
};

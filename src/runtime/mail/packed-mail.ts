/**
 * Mail in the form in which it goes to another node: bytes. `MailRouter` packs what leaves and unpacks what arrives.
 */
import { deserialize, serialize } from "node:v8";
import { SwitchboardError } from "../../errors.ts";
import { cloneMail } from "../actor/mail.ts";

/** Number of bytes that mail to another node, or an answer from there, may have. */
export const MAX_MAIL_BYTES = 1024 * 1024;

/** Packs mail. Throws `ERR_MAIL_NOT_CLONEABLE` and `ERR_MAIL_TOO_LARGE`. */
export function packMail(mail: unknown): Uint8Array {
  // The copy makes mail to another node the same as mail to another thread: a Buffer, for one, arrives as a Uint8Array.
  const copy = cloneMail(mail);
  const bytes = serializeCopy(copy);
  if (bytes.length <= MAX_MAIL_BYTES) return bytes;
  const message = `mail to another node may have ${MAX_MAIL_BYTES} bytes, and this one has ${bytes.length}`;
  throw new SwitchboardError("ERR_MAIL_TOO_LARGE", message);
}

/** Unpacks mail. Throws for bytes that `packMail` hasn't made. */
export function unpackMail(bytes: Uint8Array): unknown {
  return deserialize(bytes);
}

function serializeCopy(copy: unknown): Uint8Array {
  try {
    return serialize(copy);
  } catch (cause) {
    const message = "mail to another node must be plain data: memory that threads share, for one, stays in its process";
    throw new SwitchboardError("ERR_MAIL_NOT_CLONEABLE", message, { cause });
  }
}

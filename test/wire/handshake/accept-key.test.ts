import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import { acceptKey } from "../../../src/wire/handshake/accept-key.ts";

it("answers the RFC's example key with the RFC's example answer", () => {
  expect(acceptKey("dGhlIHNhbXBsZSBub25jZQ==")).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

it("answers any key with the SHA-1 of its text and the RFC's GUID", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const key = Buffer.from(bytes).toString("base64");
      const sha1 = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest();
      expect(Buffer.from(acceptKey(key), "base64").equals(sha1)).toBe(true);
    }),
  );
});

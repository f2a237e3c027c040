/** The grammar of header values: tokens, lists and blanks. Both ends of the opening handshake use it. */

/** A token. Header lists and subprotocol names consist of tokens. Source: RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** Splits a comma-separated header value into trimmed members. Drops empty members (RFC 9110 section 5.6.1). */
export function listMembers(value: string): string[] {
  return value
    .split(",")
    .map((member) => trimBlanks(member))
    .filter((member) => member !== "");
}

const SPACE = 0x20;
const TAB = 0x09;

/**
 * Returns `text`, or its part from `start` to `end`, without the spaces and tabs at both ends. HTTP has no other white
 * space (RFC 9110 section 5.6.3).
 */
export function trimBlanks(text: string, start = 0, end = text.length): string {
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (start < end && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(character: number): boolean {
  return character === SPACE || character === TAB;
}

/** True when the list of a header value has this member, in any letter case. `member` is in lower case. */
export function hasMember(value: string | undefined, member: string): boolean {
  if (value === undefined) return false;
  return (
    value === member || value.toLowerCase() === member || listMembers(value).some((one) => one.toLowerCase() === member)
  );
}

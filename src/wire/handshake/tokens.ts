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
    .map(trimBlanks)
    .filter((member) => member !== "");
}

/** Removes spaces and tabs at both ends. HTTP has no other white space (RFC 9110 section 5.6.3). */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text, start)) start++;
  while (start < end && isBlank(text, end - 1)) end--;
  return text.slice(start, end);
}

function isBlank(text: string, at: number): boolean {
  const character = text[at];
  return character === " " || character === "\t";
}

/** True when the list of a header value has this member, in any letter case. `member` is in lower case. */
export function hasMember(value: string | undefined, member: string): boolean {
  if (value === undefined) return false;
  return value.toLowerCase() === member || listMembers(value).some((one) => one.toLowerCase() === member);
}
